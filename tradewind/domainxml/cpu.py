# SPDX-License-Identifier: Apache-2.0
"""The CPU of a created domain: what the options ask for, and what the host can give.

Format: https://libvirt.org/formatdomain.html#cpu-model-and-topology.
"""

from collections.abc import Sequence
from typing import Final

from tradewind.domainxml.document import E, Element
from tradewind.errors import OptionError
from tradewind.model.deploy import CpuChoice, CpuMode
from tradewind.model.host import HostFacts

# The one CPU feature of practical use that QEMU marks as unmigratable (target/i386/cpu.c).
BLOCKS_MIGRATION: Final = frozenset({"invtsc"})

# Libvirt accepts the attribute `migratable` in these modes only.
_KNOWS_MIGRATABLE: Final = frozenset({CpuMode.HOST_PASSTHROUGH, CpuMode.MAXIMUM})


def choose_cpu(
    mode: CpuMode, migratable: bool, features: Sequence[str], facts: HostFacts
) -> CpuChoice:
    """Decide on mode and features for a host, and say in sentences what falls short.

    Raises OptionError when a host with KVM cannot give the mode or a feature; an emulating host
    gives what it can.
    """
    chosen, mode_shortfalls = _choose_mode(mode, facts)
    kept, feature_shortfalls = _choose_features(chosen, migratable, features, facts)
    return CpuChoice(
        mode=chosen,
        migratable=migratable,
        features=kept,
        shortfalls=(*mode_shortfalls, *feature_shortfalls),
    )


def _choose_mode(mode: CpuMode, facts: HostFacts) -> tuple[CpuMode, tuple[str, ...]]:
    if mode is CpuMode.LIBVIRT_DEFAULT or mode in facts.cpu_modes:
        return mode, ()
    if facts.kvm:
        raise OptionError(
            f"option cpu_mode: {facts.hostname} cannot give CPU mode {mode}",
            f"choose one of: {', '.join(facts.cpu_modes)}",
        )
    fallback = CpuMode.MAXIMUM if CpuMode.MAXIMUM in facts.cpu_modes else CpuMode.LIBVIRT_DEFAULT
    return fallback, (
        f"CPU mode {fallback or 'of libvirt’s choice'} instead of {mode}:"
        f" {facts.hostname} has no KVM and emulates the CPU.",
    )


def _choose_features(
    mode: CpuMode, migratable: bool, features: Sequence[str], facts: HostFacts
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    if features and mode is CpuMode.LIBVIRT_DEFAULT:
        return (), (
            f"CPU features {', '.join(features)} are left out:"
            " libvirt's default CPU (empty cpu_mode) takes none.",
        )
    blocking = [name for name in features if migratable and name in BLOCKS_MIGRATION]
    wanted = [name for name in features if name not in blocking]
    missing = [name for name in wanted if name not in facts.cpu_features]
    if missing and facts.kvm:
        raise OptionError(
            f"option cpu_features: {facts.hostname} cannot give {', '.join(missing)}",
            "leave them out of cpu_features, or choose another host",
        )
    return tuple(name for name in wanted if name not in missing), (
        *(
            f"CPU feature {name} is left out: it blocks live migration, and cpu_migratable is set."
            for name in blocking
        ),
        *(
            f"CPU feature {name} is left out: {facts.hostname} emulates the CPU and lacks it."
            for name in missing
        ),
    )


def cpu_element(choice: CpuChoice, topology: Element | None = None) -> Element | None:
    """Write the <cpu> of a choice; None when everything is left to libvirt."""
    if choice.mode is CpuMode.LIBVIRT_DEFAULT:
        return None if topology is None else E.cpu(topology)
    cpu = E.cpu(mode=choice.mode.value)
    if choice.mode in _KNOWS_MIGRATABLE:
        # check="none": QEMU itself decides what these two modes hold; libvirt has no model to
        # compare it with.
        cpu.set("check", "none")
        cpu.set("migratable", "on" if choice.migratable else "off")
    if topology is not None:
        cpu.append(topology)
    cpu.extend(E.feature(policy="require", name=name) for name in choice.features)
    return cpu
