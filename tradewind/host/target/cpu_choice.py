# SPDX-License-Identifier: Apache-2.0
"""The CPU of a created machine: what the options ask for, and what the host can give.

It is decided here and nowhere else, once for each run.
"""

from collections.abc import Sequence
from typing import Final

from tradewind.errors import OptionError
from tradewind.model.deploy import CpuChoice, CpuMode
from tradewind.model.host import HostFacts

# The one CPU feature of practical use that QEMU marks as unmigratable (target/i386/cpu.c).
BLOCKS_MIGRATION: Final = frozenset({"invtsc"})


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
