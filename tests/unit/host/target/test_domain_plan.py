# SPDX-License-Identifier: Apache-2.0
"""What the final machine will be, and what keeps it from being."""

import pytest

from tests.fakes.libvirt_fakes import FakeConnection
from tradewind.domainxml import worker
from tradewind.domainxml.final import final_domain, shortfalls
from tradewind.errors import BadInputError, OptionError
from tradewind.host import storage
from tradewind.host.domain import domains
from tradewind.host.target import domain_plan
from tradewind.host.target.cpu_choice import choose_cpu
from tradewind.model.deploy import (
    CpuChoice,
    CpuMode,
    FinalDisk,
    FinalDomain,
    FinalNic,
    Suitability,
    Vnc,
)
from tradewind.model.host import HostFacts
from tradewind.model.machine import Firmware, FirmwareKind, Nic, VirtualMachine
from tradewind.model.network import NetworkMap, Plug
from tradewind.model.options import ProviderOptions
from tradewind.model.requests import DeployRequest
from tradewind.model.run import Label
from tradewind.model.storage import ReplicaVolume, Volume
from tradewind.units import GiB

NIC = Nic(mac="52:54:00:1a:2b:3c", network="office", model="e1000")


SUITS = Suitability(cpu=CpuChoice(mode=CpuMode.MAXIMUM, migratable=True))
DISK = FinalDisk(disk_id="sda", path="/pools/fast/a.qcow2", format="qcow2")


def final(label: Label, facts: HostFacts, **options: object) -> FinalDomain:
    plain = {"cpu_features": "", **options}
    chosen = ProviderOptions.model_validate(plain)
    cpu = choose_cpu(chosen.cpu_mode, chosen.cpu_migratable, chosen.cpu_features, facts)
    bare = FinalDomain(
        name="ledger01",
        kvm=facts.kvm,
        machine_type=facts.machine_type,
        cpu=cpu,
        disks=(DISK,),
        label=label,
    )
    return domain_plan.with_options(bare, chosen)


@pytest.mark.parametrize(
    ("networks", "chosen"),
    [
        (NetworkMap(networks={"office": "lan"}, default="stopped"), "lan"),
        (NetworkMap(networks={"lab": "stopped"}, default="lan"), "lan"),
    ],
)
def test_nic_keeps_its_address_on_its_new_network(
    facts: HostFacts, networks: NetworkMap, chosen: str
) -> None:
    mapped = domain_plan.map_nic(NIC, networks, facts)
    assert mapped == FinalNic(mac=NIC.mac, plug=Plug(name=chosen))


def test_network_of_the_same_name_needs_no_map(facts: HostFacts) -> None:
    there = NIC.model_copy(update={"network": "lan"})
    assert domain_plan.map_nic(there, NetworkMap(), facts).plug == Plug(name="lan")


@pytest.mark.parametrize(
    "networks", [NetworkMap(), NetworkMap(networks={"office": "lna"}), NetworkMap(default="lna")]
)
def test_unmapped_network_names_nic_and_choices(facts: HostFacts, networks: NetworkMap) -> None:
    with pytest.raises(OptionError, match=r"NIC 52:54:00:1a:2b:3c.*“office”") as caught:
        domain_plan.map_nic(NIC, networks, facts)
    assert "lan, stopped" in caught.value.hint


def request(name: str | None = None) -> DeployRequest:
    return DeployRequest(machine="ledger01", source="old", destination="kvm1", name=name)


SECURE = Firmware(kind=FirmwareKind.UEFI, secure_boot=True)
PLAIN = ProviderOptions.model_validate({"cpu_features": ""})


def test_everything_wrong_is_said_at_once(
    host: FakeConnection, facts: HostFacts, machine: VirtualMachine, label: Label
) -> None:
    domains.define(host, final_domain(machine, final(label, facts)))
    demanding = machine.model_copy(update={"nics": (NIC,), "firmware": SECURE})
    poor = facts.model_copy(update={"uefi": False, "secure_boot": False, "tpm": False})
    options = ProviderOptions.model_validate({"cpu_features": "rdtscp,warp"})
    with pytest.raises(BadInputError) as caught:
        domain_plan.check(host, demanding, request(), options, poor)
    said = str(caught.value)
    assert said.startswith("5 problems")
    for part in (
        "a machine “ledger01”",
        "starts with UEFI",
        "option add_tpm_device",
        "option cpu_features: vm cannot give warp",
        "NIC 52:54:00:1a:2b:3c",
    ):
        assert part in said
    free = PLAIN.model_copy(update={"add_tpm_device": False})
    domain_plan.check(host, machine, request("ledger02"), free, poor)


def test_secure_boot_wants_its_firmware(
    host: FakeConnection, facts: HostFacts, machine: VirtualMachine
) -> None:
    secure = machine.model_copy(update={"firmware": SECURE})
    rich = facts.model_copy(update={"tpm": True, "secure_boot": True})
    domain_plan.check(host, secure, request(), PLAIN, rich)
    with pytest.raises(BadInputError, match="uses Secure Boot"):
        domain_plan.check(
            host, secure, request(), PLAIN, rich.model_copy(update={"secure_boot": False})
        )


def test_name_as_asked_or_as_on_the_source(machine: VirtualMachine) -> None:
    assert domain_plan.final_name(request(), machine) == "ledger01"
    assert domain_plan.final_name(request("new"), machine) == "new"


def test_options_shape_the_machine(facts: HostFacts, label: Label) -> None:
    machine = final(
        label,
        facts.model_copy(update={"tpm": True}),
        enable_vm_vnc_console=True,
        vnc_listen_address="127.0.0.1",
        vm_console_log_dir="/var/log/consoles",
        cpu_mode="host-model",
        cpu_migratable=False,
    )
    assert machine.vnc == Vnc(listen="127.0.0.1")
    assert machine.tpm
    assert machine.console_log is not None
    assert machine.console_log.startswith("/var/log/consoles/ledger01")
    assert (machine.cpu.mode, machine.cpu.migratable) == (CpuMode.HOST_MODEL, False)
    assert machine.machine_type == facts.machine_type


def test_console_log_is_not_the_log_of_qemu(facts: HostFacts, label: Label) -> None:
    """Libvirt keeps /var/log/libvirt/qemu/<name>.log for itself."""
    assert final(label, facts).console_log != "/var/log/libvirt/qemu/ledger01.log"


def test_what_is_switched_off_is_absent(facts: HostFacts, label: Label) -> None:
    machine = final(label, facts, enable_vm_console_log=False, add_tpm_device=False)
    assert (machine.vnc, machine.console_log, machine.tpm) == (None, None, False)


def test_left_out_cpu_features_are_shortfalls(
    facts: HostFacts, label: Label, machine: VirtualMachine
) -> None:
    rich = facts.model_copy(update={"cpu_features": ("invtsc", "x2apic")})
    made = final(label, rich, cpu_features="invtsc,x2apic")
    assert made.cpu.features == ("x2apic",)
    assert any("invtsc" in line and "migration" in line for line in shortfalls(machine, made))


def test_disks_are_located_in_order(host: FakeConnection) -> None:
    volumes = [
        ReplicaVolume(
            disk_id=disk,
            volume=Volume(pool=pool, name=f"{disk}.qcow2", capacity=GiB, format="qcow2"),
            serial=f"tw{disk}",
            blank=False,
        )
        for disk, pool in (("sdb", "images"), ("sda", "fast"))
    ]
    for volume in volumes:
        storage.create_volume(host, volume.volume)
    assert [(disk.disk_id, disk.path) for disk in domain_plan.final_disks(host, volumes)] == [
        ("sdb", "/pools/images/sdb.qcow2"),
        ("sda", "/pools/fast/sda.qcow2"),
    ]


def order(machine: VirtualMachine, label: Label, **choices: object) -> domain_plan.DeploySpec:
    asked = {"machine": "ledger01", "source": "old", "destination": "kvm1", "hardware": choices}
    request = DeployRequest.model_validate(asked)
    return domain_plan.DeploySpec(request, machine, (), label, SUITS, "http://debian.org/debian/12")


def composed(host: FakeConnection, order: domain_plan.DeploySpec, facts: HostFacts) -> FinalDomain:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(domain_plan, "final_disks", lambda *_: (DISK,))
        return domain_plan.compose(host, order, PLAIN, facts)


def test_uuid_is_kept_while_it_is_free(
    host: FakeConnection, facts: HostFacts, machine: VirtualMachine, label: Label
) -> None:
    kept = composed(host, order(machine, label), facts)
    assert (kept.uuid, kept.notes) == (machine.id, ())
    assert kept.origin == "Moved here by Tradewind: ledger01 of old."
    assert composed(host, order(machine, label, keep_uuid=False), facts).uuid != machine.id
    domains.define(host, final_domain(machine, kept))
    again = composed(host, order(machine, label), facts)
    assert again.uuid != machine.id
    assert "“ledger01” on this host has its old one" in again.notes[0]
    assert again.notes[0] in shortfalls(machine, again)


def test_image_has_no_uuid_to_keep(
    host: FakeConnection, facts: HostFacts, machine: VirtualMachine, label: Label
) -> None:
    image = machine.model_copy(update={"id": "ledger01"})
    assert composed(host, order(image, label), facts).notes == ()


@pytest.mark.parametrize(
    ("choices", "on_source_and_here"),
    [
        ({}, (True, True)),
        ({}, (False, False)),
        ({"autostart": "on"}, (False, True)),
        ({"autostart": "off"}, (True, False)),
    ],
)
def test_autostart(
    host: FakeConnection,
    facts: HostFacts,
    machine: VirtualMachine,
    label: Label,
    choices: dict[str, str],
    on_source_and_here: tuple[bool, bool],
) -> None:
    on_source, here = on_source_and_here
    there = machine.model_copy(update={"autostart": on_source})
    assert composed(host, order(there, label, **choices), facts).autostart is here


def test_machine_type_is_the_hosts_word_for_it(
    host: FakeConnection, facts: HostFacts, machine: VirtualMachine, label: Label
) -> None:
    old = composed(host, order(machine, label, machine_type="pc"), facts)
    assert old.machine_type == "pc-i440fx-7.2"
    assert composed(host, order(machine, label), facts).machine_type == facts.machine_type


def test_cpu_of_the_machine_is_the_one_that_was_decided_before(
    host: FakeConnection, facts: HostFacts, machine: VirtualMachine, label: Label
) -> None:
    """Whatever the host offers by then: what was said before anything was made stays true."""
    options = ProviderOptions.model_validate({"cpu_features": "", "add_tpm_device": False})
    suits = domain_plan.check(host, machine, request(), options, facts)
    spec = domain_plan.DeploySpec(request(), machine, (), label, suits)
    later = facts.model_copy(update={"cpu_modes": ()})
    assert composed(host, spec, later).cpu == suits.cpu


def test_file_below_dev_is_a_file(host: FakeConnection) -> None:
    """A pool of files may lie in memory: its path does not make a device of it."""
    host.storagePoolCreateXML(
        "<pool type='dir'><name>memory</name><target><path>/dev/shm/pool</path></target></pool>"
    )
    kinds = {}
    for pool in ("memory", "vg", "fast"):
        volume = Volume(pool=pool, name="a", capacity=GiB, format="raw")
        storage.create_volume(host, volume)
        replica = ReplicaVolume(disk_id="sda", volume=volume, serial="tw", blank=False)
        (disk,) = domain_plan.final_disks(host, [replica])
        kinds[pool] = (disk.path, disk.block)
    assert kinds == {
        "memory": ("/dev/shm/pool/a", False),
        "vg": ("/dev/vg/a", True),
        "fast": ("/pools/fast/a", False),
    }


@pytest.mark.parametrize(
    ("path", "block", "kind"),
    [("/dev/shm/a", False, "file"), ("/mnt/luns/a", True, "block"), ("/dev/vg/a", None, "block")],
)
def test_new_disk_is_of_its_volumes_kind(
    machine: VirtualMachine, facts: HostFacts, label: Label, path: str, block: bool, kind: str
) -> None:
    disk = FinalDisk(disk_id="sda", path=path, format="raw", block=block)
    made = final(label, facts).model_copy(update={"disks": (disk,)})
    assert f'<disk type="{kind}" device="disk">' in final_domain(machine, made)
    attached = worker.attached_disk(path, "raw", "tw0", "vdb", block=block)
    assert f'<disk type="{kind}" device="disk">' in attached
