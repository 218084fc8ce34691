# SPDX-License-Identifier: Apache-2.0
import pytest

from tradewind.errors import OptionError
from tradewind.host.target.cpu_choice import choose_cpu
from tradewind.model.deploy import CpuChoice, CpuMode
from tradewind.model.host import HostFacts

DEFAULT = ("rdtscp", "invtsc", "x2apic")


@pytest.fixture
def kvm_host() -> HostFacts:
    return HostFacts(
        hostname="kvm1",
        libvirt_version="9.0.0",
        qemu_version="7.2.0",
        kvm=True,
        uefi=True,
        secure_boot=True,
        tpm=True,
        cpu_modes=("host-passthrough", "maximum", "host-model", "custom"),
        cpu_features=("invtsc", "rdtscp", "x2apic"),
        machine_type="pc-q35-7.2",
        pools=("default",),
        networks=("default",),
    )


@pytest.fixture
def tcg_host(kvm_host: HostFacts) -> HostFacts:
    return kvm_host.model_copy(
        update={
            "kvm": False,
            "cpu_modes": ("maximum", "host-model", "custom"),
            "cpu_features": ("rdtscp",),
        }
    )


def test_defaults_with_kvm(kvm_host: HostFacts) -> None:
    assert choose_cpu(CpuMode.HOST_PASSTHROUGH, True, DEFAULT, kvm_host) == CpuChoice(
        mode=CpuMode.HOST_PASSTHROUGH,
        migratable=True,
        features=("rdtscp", "x2apic"),
        shortfalls=(
            "CPU feature invtsc is left out: it blocks live migration, and cpu_migratable is set.",
        ),
    )


def test_invtsc_stays_when_migration_is_not_asked_for(kvm_host: HostFacts) -> None:
    choice = choose_cpu(CpuMode.HOST_PASSTHROUGH, False, DEFAULT, kvm_host)
    assert choice == CpuChoice(mode=CpuMode.HOST_PASSTHROUGH, migratable=False, features=DEFAULT)


def test_defaults_under_emulation(tcg_host: HostFacts) -> None:
    assert choose_cpu(CpuMode.HOST_PASSTHROUGH, True, DEFAULT, tcg_host) == CpuChoice(
        mode=CpuMode.MAXIMUM,
        migratable=True,
        features=("rdtscp",),
        shortfalls=(
            "CPU mode maximum instead of host-passthrough: kvm1 has no KVM and emulates the CPU.",
            "CPU feature invtsc is left out: it blocks live migration, and cpu_migratable is set.",
            "CPU feature x2apic is left out: kvm1 emulates the CPU and lacks it.",
        ),
    )


def test_emulation_by_a_libvirt_that_does_not_know_maximum(tcg_host: HostFacts) -> None:
    old = tcg_host.model_copy(update={"cpu_modes": ("custom",)})
    choice = choose_cpu(CpuMode.HOST_PASSTHROUGH, True, ("rdtscp",), old)
    assert choice.mode is CpuMode.LIBVIRT_DEFAULT
    assert choice.features == ()
    assert len(choice.shortfalls) == 2


def test_feature_that_a_kvm_host_lacks(kvm_host: HostFacts) -> None:
    with pytest.raises(OptionError, match="option cpu_features: kvm1 cannot give avx512f, amx"):
        choose_cpu(CpuMode.HOST_MODEL, True, ("rdtscp", "avx512f", "amx"), kvm_host)


def test_mode_that_a_kvm_host_lacks(kvm_host: HostFacts) -> None:
    old = kvm_host.model_copy(update={"cpu_modes": ("host-passthrough", "custom")})
    with pytest.raises(OptionError, match="option cpu_mode") as caught:
        choose_cpu(CpuMode.MAXIMUM, True, (), old)
    assert "host-passthrough" in caught.value.hint


def test_libvirts_own_choice_takes_no_features(kvm_host: HostFacts) -> None:
    choice = choose_cpu(CpuMode.LIBVIRT_DEFAULT, True, ("rdtscp",), kvm_host)
    assert choice.features == ()
    assert "rdtscp are left out" in choice.shortfalls[0]
    assert choose_cpu(CpuMode.LIBVIRT_DEFAULT, True, (), kvm_host).shortfalls == ()
