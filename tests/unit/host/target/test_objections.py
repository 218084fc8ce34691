# SPDX-License-Identifier: Apache-2.0
"""What libvirt itself says of a machine that is to come; it is QEMU's own driver, without a daemon.

The sources' descriptions are of libvirts that are newer than the one of this machine, where they
have to be: libvirt 9.0 knows neither clusters (10.1) nor these enlightenments.
"""

from datetime import UTC, datetime

import libvirt
import pytest

from tests.fakes.described import source, topology
from tests.fakes.embedded_libvirt import EmbeddedConnection
from tests.fakes.libvirt_fakes import DOCUMENTS, libvirt_error
from tradewind.domainxml.document import parse
from tradewind.domainxml.final import final_domain, shortfalls
from tradewind.domainxml.machine import DiskFacts, parse_machine
from tradewind.errors import BadInputError
from tradewind.host import facts as facts_of
from tradewind.host import leftovers
from tradewind.host.domain import domains, twins
from tradewind.host.target import domain_plan, objections
from tradewind.host.target import preflight as target_preflight
from tradewind.model.deploy import CpuChoice, CpuMode, FinalDisk, FinalDomain, Suitability
from tradewind.model.finding import Severity
from tradewind.model.host import HostFacts
from tradewind.model.leftover import LeftoverKind
from tradewind.model.machine import VirtualMachine
from tradewind.model.options import ProviderOptions
from tradewind.model.requests import DeployRequest
from tradewind.model.run import Label, Purpose
from tradewind.units import GiB

SOURCES = DOCUMENTS.parent / "sources"
CPU = {"cpu_mode": "host-passthrough", "cpu_features": "", "add_tpm_device": False}


def request(**hardware: object) -> DeployRequest:
    asked = {"machine": "ledger01", "source": "old", "destination": "kvm1", "hardware": hardware}
    return DeployRequest.model_validate(asked)


def checked(
    destination: EmbeddedConnection, machine: VirtualMachine, offered: HostFacts, **hardware: object
) -> Suitability:
    options = ProviderOptions.model_validate(CPU)
    return domain_plan.check(destination, machine, request(**hardware), options, offered)


def made(suits: Suitability, offered: HostFacts, label: Label) -> FinalDomain:
    disk = FinalDisk(disk_id="sda", path="/pools/fast/a.qcow2", format="qcow2")
    bare = FinalDomain(
        name="new",
        kvm=offered.kvm,
        machine_type=offered.machine_type,
        cpu=suits.cpu,
        disks=(disk,),
        label=label,
        left_out=suits.left_out,
    )
    return domain_plan.with_options(bare, ProviderOptions.model_validate(CPU))


def test_what_this_libvirt_knows_is_kept(
    destination: EmbeddedConnection, offered: HostFacts
) -> None:
    machine = source(cpu=topology(sockets=2, dies=1, cores=2, threads=1))
    before = destination.files()
    assert checked(destination, machine, offered).left_out == ()
    assert (destination.listAllDomains(), destination.files()) == ([], before)


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        (
            {"cpu": topology(sockets=2, dies=1, clusters=1, cores=2, threads=1)},
            (
                ["cpu/topology/@clusters"],
                '<topology sockets="2" dies="1" cores="2" threads="1"/>',
                "",
            ),
        ),
        (
            {"cpu": topology(sockets=1, dies=1, clusters=2, cores=2, threads=1)},
            (
                ["cpu/topology"],
                "<name>",
                '<topology sockets="1" dies="1" clusters="2" cores="2" threads="1"> of cpu',
            ),
        ),
        (
            {"features": "<msrs unknown='ignore' later='yes'/>"},
            (
                ["features/msrs/@later"],
                '<msrs unknown="ignore"/>',
                '<msrs later="yes"> of features',
            ),
        ),
        (
            {"disk": "<wwn>5000c50015ea71ad</wwn><vendor>SHIPYARDS AND SONS</vendor>"},
            (
                ["devices/disk/vendor"],
                "<wwn>5000c50015ea71ad</wwn>",
                "<vendor> of disk sda",
            ),
        ),
        (
            {"devices": "<watchdog model='i6300esb' action='reset-twice'/>"},
            (
                ["devices/watchdog/@action"],
                '<watchdog model="i6300esb"/>',
                '<watchdog action="reset-twice">',
            ),
        ),
    ],
)
def test_what_it_does_not_know_is_left_out_and_told(
    destination: EmbeddedConnection,
    offered: HostFacts,
    label: Label,
    pieces: dict[str, str],
    expected: tuple[list[str], str, str],
) -> None:
    left_out, kept, said = expected
    machine = source(**pieces)
    suits = checked(destination, machine, offered, disk_bus="scsi")
    assert [omission.path for omission in suits.left_out] == left_out
    final = made(suits, offered, label).model_copy(
        update={"hardware": request(disk_bus="scsi").hardware}
    )
    text = final_domain(machine, final)
    assert twins.judge(destination, text, "new") is None
    assert kept in text
    sentences = [line for line in shortfalls(machine, final) if "libvirt refuses" in line]
    assert sentences == ([f"The new host's libvirt refuses {said}: it is left out."] * bool(said))


@pytest.mark.parametrize(
    ("features", "left_out", "kept"),
    [
        (
            "<relaxed state='on'/><xmm_input state='on'/><emsr_bitmap state='on'/>"
            "<vapic state='on'/>",
            ["xmm_input", "emsr_bitmap"],
            ["relaxed", "vapic"],
        ),
        ("<relaxed state='on'/><xmm_input state='off'/>", ["xmm_input"], ["relaxed"]),
        (
            "<tlbflush state='on'><direct state='on'/><extended state='on'/></tlbflush>",
            ["tlbflush/direct", "tlbflush/extended"],
            ["tlbflush"],
        ),
        (
            "<spinlocks state='on' retries='8191'/><stimer state='on'><direct state='on'/>"
            "</stimer><vendor_id state='on' value='harbour'/>",
            [],
            ["spinlocks", "stimer", "vendor_id"],
        ),
    ],
)
def test_enlightenments_of_a_newer_libvirt(
    destination: EmbeddedConnection,
    offered: HostFacts,
    features: str,
    left_out: list[str],
    kept: list[str],
) -> None:
    machine = source(features=f"<hyperv mode='custom'>{features}</hyperv>")
    twin = twin_of(machine, offered, checked(destination, source(), offered))
    found = objections.omissions(destination, machine, twin, offered)
    assert [omission.path for omission in found] == [f"features/hyperv/{name}" for name in left_out]
    text = final_domain(machine, twin.model_copy(update={"left_out": found}))
    hyperv = parse(text).find("features/hyperv")
    assert hyperv is not None
    assert [each.tag for each in hyperv] == kept
    assert [bool(omission.what) for omission in found] == ["'off'" not in features for _ in found]


NIC = """<interface type="network"><mac address="{mac}"/><source network="default"/>
<model type="virtio"/></interface>"""


def twin_of(machine: VirtualMachine, offered: HostFacts, suits: Suitability) -> FinalDomain:
    with_network = offered.model_copy(update={"networks": ("default",)})
    options = ProviderOptions.model_validate(CPU)
    return domain_plan.twin(machine, request(), options, with_network, suits)


def test_what_the_machine_cannot_do_without_is_an_error(
    destination: EmbeddedConnection, offered: HostFacts
) -> None:
    suits = checked(destination, source(), offered)
    machine = source(devices=NIC.format(mac="01:00:5e:00:00:01"))
    before = destination.files()
    with pytest.raises(BadInputError, match=r"refuses ledger01.*expected unicast mac") as caught:
        objections.omissions(destination, machine, twin_of(machine, offered, suits), offered)
    assert caught.value.hint
    assert (destination.listAllDomains(), destination.files()) == ([], before)


def test_a_connection_that_breaks_is_no_objection(
    destination: EmbeddedConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*_: object) -> None:
        raise libvirt_error(libvirt.VIR_ERR_RPC, "connection reset")

    monkeypatch.setattr(destination, "defineXMLFlags", gone, raising=False)
    with pytest.raises(libvirt.libvirtError, match="connection reset"):
        twins.judge(destination, "<domain/>", "new")


def test_preflight_says_what_is_left_out_and_what_would_not_start(
    destination: EmbeddedConnection, offered: HostFacts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """QEMU's own driver is asked for the command line: under emulation it has no such CPU."""
    monkeypatch.setattr(facts_of, "survey", lambda _connection: offered)
    machine = source(features="<msrs unknown='ignore' later='yes'/>")
    options = ProviderOptions.model_validate(CPU)
    found = target_preflight.target(destination, machine, request(), options)
    said = [each.what for each in found if each.severity is Severity.WARNING]
    assert said == [
        'libvirt 9.0.0 of vm refuses <msrs later="yes"> of features: it is left out of the new'
        " machine",
        "libvirt 9.0.0 of vm would not start the new machine: unsupported configuration: CPU mode"
        " 'host-passthrough' for x86_64 qemu domain on x86_64 host is not supported by hypervisor",
    ]
    assert destination.listAllDomains() == []


def test_twin_is_nobodys(
    destination: EmbeddedConnection, offered: HostFacts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While it is there it has no name, UUID or disk of the machine, and says what it is."""
    seen: list[str] = []
    machine = source(devices=NIC.format(mac="52:54:00:1a:2b:3c"))
    twin = twin_of(machine, offered, checked(destination, source(), offered))
    monkeypatch.setattr(twins, "judge", lambda _connection, xml, _name, **_: seen.append(xml))
    objections.omissions(destination, machine, twin, offered)
    domain = parse(seen[0])
    assert leftovers.run_of(domain.findtext("name") or "") == twin.label.run
    assert domain.findtext("uuid") not in {None, machine.id}
    assert [each.get("file") for each in domain.iterfind("devices/disk/source")] == [
        f"/nonexistent/tradewind-{twin.label.run}/sda"
    ]


def test_twin_of_a_killed_process_is_a_leftover_that_the_next_one_removes(
    destination: EmbeddedConnection, offered: HostFacts
) -> None:
    suits = checked(destination, source(), offered)
    made_now = twin_of(source(), offered, suits)
    old = made_now.label.model_copy(update={"created": datetime.now(UTC) - 2 * twins.STALE})
    stale = made_now.model_copy(update={"name": "left", "uuid": None, "label": old})
    # As a killed process leaves them: one long ago, one that may still be looked at.
    domains.define(destination, final_domain(source(), stale))
    domains.define(destination, final_domain(source(), made_now))
    found = leftovers.find(destination)
    assert [(each.kind, each.name, each.run) for each in found] == [
        (LeftoverKind.TWIN, "left", old.run)
    ]
    checked(destination, source(), offered)
    assert [each.name() for each in destination.listAllDomains()] == [made_now.name]
    domains.destroy(destination, made_now.name)


@pytest.mark.parametrize("name", ["x" * 250, "é" * 240, "till 7"])
def test_name_of_a_twin_has_room_in_a_folder(name: str, label: Label) -> None:
    mine = label.model_copy(update={"purpose": Purpose.TWIN})
    named = twins.name_of(mine, name)
    assert named.startswith(f"tradewind-{label.run}-twin-")
    assert len(named.encode()) <= 200
    assert name.startswith(named.removeprefix(f"tradewind-{label.run}-twin-"))


@pytest.mark.parametrize(
    "name", ["debian-bios", "windows-uefi", "nova", "ovirt", "kernel-of-the-host"]
)
@pytest.mark.parametrize("hardware", [{}, {"disk_bus": "scsi"}, {"firmware": "bios"}])
def test_machines_of_all_sources_are_accepted_as_they_would_be(
    destination: EmbeddedConnection, offered: HostFacts, name: str, hardware: dict[str, str]
) -> None:
    """UEFI, Secure Boot, TPM, console log, config drive and all: nothing of it stays behind."""
    described = (SOURCES / f"{name}.xml").read_text()
    machine = parse_machine(described, disk_facts=lambda _target: DiskFacts(GiB))
    asked = {"machine": "a", "source": "b", "destination": "c", "name": "new"}
    wanted = DeployRequest.model_validate(
        {**asked, "hardware": hardware, "network_map": {"default": "default"}}
    )
    rich = offered.model_copy(update={"networks": ("default",), "tpm": True})
    options = ProviderOptions.model_validate(
        {**CPU, "add_tpm_device": True, "use_config_drive": True, "enable_vm_vnc_console": True}
    )
    before = destination.files()
    suits = domain_plan.check(destination, machine, wanted, options, rich)
    assert suits.left_out == ()
    assert (destination.listAllDomains(), destination.files()) == ([], before)
    twin = domain_plan.twin(machine, wanted, options, rich, suits)
    cpu = CpuChoice(mode=CpuMode.MAXIMUM, migratable=True)
    emulated = twin.model_copy(update={"kvm": False, "cpu": cpu})
    assert twins.start_objection(destination, final_domain(machine, emulated)) == ""
