# SPDX-License-Identifier: Apache-2.0
"""Config drive and UEFI variables beside the disks."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.fakes.libvirt_fakes import DOCUMENTS, FakeConnection
from tests.unit.host.target.test_domain_plan import PLAIN
from tests.unit.test_iso import read
from tradewind.domainxml.final import final_domain, shortfalls
from tradewind.errors import BadInputError
from tradewind.host import leftovers, storage
from tradewind.host.domain import domains
from tradewind.host.target import attachments, domain_plan
from tradewind.host.target.attachments import HostOffer, with_attachments
from tradewind.model.deploy import CpuChoice, CpuMode, FinalDomain, Suitability
from tradewind.model.host import HostFacts
from tradewind.model.machine import Firmware, FirmwareKind, VirtualMachine
from tradewind.model.requests import DeployRequest
from tradewind.model.run import Label, LabelState, Purpose
from tradewind.model.storage import ReplicaVolume, Volume
from tradewind.model.uefi import UefiVariables
from tradewind.units import GiB, KiB

LOADER = "/usr/share/OVMF/OVMF_CODE_4M.ms.fd"
OTHER_LOADER = "/usr/share/edk2/ovmf/OVMF.amdsev.fd"
STORE = b"boot entries".ljust(528 * KiB, b"\xff")

Furnish = Callable[..., tuple[FinalDomain, VirtualMachine]]


@pytest.fixture
def uefi(machine: VirtualMachine) -> VirtualMachine:
    firmware = Firmware(kind=FirmwareKind.UEFI)
    return machine.model_copy(
        update={
            "firmware": firmware,
            "variables": UefiVariables.of(STORE),
            "disks": machine.disks[:1],
        }
    )


def packed(content: bytes, name: str) -> bytes:
    """Stand for qemu-img, which tests of `sources.images.conversion` ask."""
    return b"packed " + name.encode() + content


SUITS = Suitability(cpu=CpuChoice(mode=CpuMode.MAXIMUM, migratable=True))


@pytest.fixture
def furnished(
    host: FakeConnection, facts: HostFacts, uefi: VirtualMachine, label: Label
) -> Furnish:
    """Furnish the machine, whose one disk is in a pool, with a host's firmware of some size."""
    mine = label.model_copy(update={"purpose": Purpose.MACHINE})

    def make(
        *,
        pool: str = "fast",
        code: int = 3568 * KiB,
        config: bool = False,
        hardware: dict[str, Any] | None = None,
        loaders: tuple[str, ...] = (LOADER,),
    ) -> tuple[FinalDomain, VirtualMachine]:
        host.host.files[LOADER] = bytes(code)
        form = "raw" if pool == "vg" else "qcow2"
        volume = Volume(pool=pool, name=f"tradewind-{label.run}-a", capacity=GiB, format=form)
        storage.create_volume(host, volume)
        replica = ReplicaVolume(disk_id="sda", volume=volume, serial="a", blank=False)
        asked = {"machine": "a", "source": "b", "destination": "c", "hardware": hardware or {}}
        request = DeployRequest.model_validate(asked)
        spec = domain_plan.DeploySpec(request, uefi, (replica,), mine, SUITS)
        final = domain_plan.compose(host, spec, PLAIN, facts)
        seen = facts.model_copy(update={"loaders": loaders})
        return with_attachments(host, spec, final, HostOffer(seen, "images", packed, config)), uefi

    return make


def test_variables_are_put_beside_the_disk(host: FakeConnection, furnished: Furnish) -> None:
    final, machine = furnished()
    assert final.nvram is not None
    assert final.nvram.startswith("/pools/fast/tradewind-")
    assert bytes(host.host.contents[final.nvram]) == STORE
    assert not any("UEFI" in line for line in shortfalls(machine, final))
    assert f"<nvram>{final.nvram}</nvram>" in final_domain(machine, final)


def test_config_drive_knows_the_machine(host: FakeConnection, furnished: Furnish) -> None:
    final, _ = furnished(config=True)
    assert final.config_drive is not None
    content = bytes(host.host.contents[final.config_drive])
    found = json.loads(read(content, joliet_path="/openstack/latest/meta_data.json"))
    assert (found["uuid"], found["name"]) == (final.uuid, final.name)


def test_disks_that_are_no_files_have_a_neighbour(furnished: Furnish) -> None:
    final, _ = furnished(pool="vg", config=True)
    assert final.nvram is not None
    assert final.config_drive is not None
    assert final.nvram.startswith("/pools/images/")
    assert final.config_drive.startswith("/pools/images/")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"code": 1920 * KiB}, f"made for another firmware than the host's ({LOADER})"),
        ({"hardware": {"keep_uefi_variables": False}}, "The UEFI variables (boot entries) stay"),
    ],
)
def test_variables_that_are_not_used(furnished: Furnish, changes: Any, said: str) -> None:
    final, machine = furnished(**changes)
    assert final.nvram is None
    assert any(said in line for line in shortfalls(machine, final))


def test_firmware_that_libvirt_would_not_choose_decides_nothing(
    host: FakeConnection, furnished: Furnish, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One descriptor of AMD SEV beside the others: a file of 4 MiB without variables."""
    host.host.files[OTHER_LOADER] = bytes(4096 * KiB)
    said = f"qemu -drive file={LOADER},if=pflash,format=raw,unit=0,readonly=on"
    monkeypatch.setattr(host, "domainXMLToNative", lambda _format, _xml: said, raising=False)
    final, machine = furnished(loaders=(OTHER_LOADER, LOADER))
    assert final.nvram is not None
    assert not any("UEFI" in line for line in shortfalls(machine, final))


def test_each_firmware_has_to_fit_where_libvirt_does_not_tell_its_choice(
    host: FakeConnection, furnished: Furnish
) -> None:
    host.host.files[OTHER_LOADER] = bytes(4096 * KiB)
    assert furnished(loaders=(OTHER_LOADER, LOADER))[0].nvram is None


def qcow2_of(size: int) -> bytes:
    return b"QFI\xfb".ljust(24, b"\0") + size.to_bytes(8, "big")


def test_firmware_of_qcow2_gets_its_variables_in_qcow2(
    host: FakeConnection, furnished: Furnish, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Libvirt 11.3 of Debian 13, with a descriptor of qcow2 files before its own."""
    said = (DOCUMENTS / "qemu-argv-uefi-qcow2.txt").read_text()
    host.host.files["/fw/OVMF_CODE_4M.qcow2"] = qcow2_of(3568 * KiB)
    monkeypatch.setattr(host, "domainXMLToNative", lambda _format, _xml: said, raising=False)
    final, machine = furnished()
    assert final.nvram is not None
    assert final.nvram.endswith("-nvram.qcow2")
    name = final.nvram.rpartition("/")[2]
    assert bytes(host.host.contents[final.nvram]) == packed(STORE, name)
    assert f'<nvram format="qcow2">{final.nvram}</nvram>' in final_domain(machine, final)
    assert not any("UEFI" in line for line in shortfalls(machine, final))


def test_size_of_qcow2_firmware_is_that_of_its_flash(
    host: FakeConnection, furnished: Furnish, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = (DOCUMENTS / "qemu-argv-uefi-qcow2.txt").read_text()
    host.host.files["/fw/OVMF_CODE_4M.qcow2"] = qcow2_of(1920 * KiB)
    monkeypatch.setattr(host, "domainXMLToNative", lambda _format, _xml: said, raising=False)
    final, _ = furnished()
    assert final.nvram is None
    assert any(
        "another firmware than the host's (/fw/OVMF_CODE_4M.qcow2)" in n for n in final.notes
    )


def test_raw_or_qcow2_is_not_guessed(host: FakeConnection, furnished: Furnish) -> None:
    host.host.files["/fw/OVMF_CODE_4M.qcow2"] = qcow2_of(3568 * KiB)
    final, _ = furnished(loaders=(LOADER, "/fw/OVMF_CODE_4M.qcow2"))
    assert final.nvram is None
    assert any("does not tell which firmware it will choose" in note for note in final.notes)


def test_firmware_that_libvirt_would_choose_has_to_fit(
    host: FakeConnection, furnished: Furnish, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.host.files[OTHER_LOADER] = bytes(4096 * KiB)
    said = f"qemu -bios {OTHER_LOADER}"
    monkeypatch.setattr(host, "domainXMLToNative", lambda _format, _xml: said, raising=False)
    final, _ = furnished(loaders=(OTHER_LOADER, LOADER))
    assert final.nvram is None
    assert any(f"another firmware than the host's ({OTHER_LOADER})" in note for note in final.notes)


def test_other_firmware_has_other_variables(furnished: Furnish) -> None:
    final, machine = furnished(hardware={"firmware": "bios"})
    assert final.nvram is None
    assert not any("UEFI" in line for line in shortfalls(machine, final))


def test_second_attempt_starts_anew(host: FakeConnection, furnished: Furnish) -> None:
    final, _ = furnished(config=True)
    assert final.nvram is not None
    name = final.nvram.rpartition("/")[2]
    assert attachments._put(host, "fast", name, b"other") == final.nvram
    assert bytes(host.host.contents[final.nvram]) == b"other"


def test_what_arrives_garbled_is_not_used(host: FakeConnection, furnished: Furnish) -> None:
    host.host.garbles = True
    with pytest.raises(Exception, match="does not hold what was sent"):
        furnished()


def test_kept_with_the_machine_and_undone_without_it(
    host: FakeConnection, furnished: Furnish, label: Label
) -> None:
    final, machine = furnished(config=True)
    names = {volume.name for volume in leftovers.find(host)}
    assert {final.nvram, final.config_drive} <= {f"/pools/fast/{name}" for name in names}
    domains.define(host, final_domain(machine, final))
    finished = final.label.model_copy(update={"state": LabelState.FINISHED})
    domains.write_label(host, final.name, finished)
    assert leftovers.find(host) == ()
    domains.write_label(host, final.name, final.label)
    leftovers.remove_run(host, label.run)
    assert leftovers.find(host) == ()
    assert domains.find_domain(host, final.name) is None


def test_damaged_variables() -> None:
    good = UefiVariables.of(STORE)
    assert good.content() == STORE
    assert len(good.packed) < 4 * KiB
    for size in (len(STORE) - 1, len(STORE) + 1):
        with pytest.raises(BadInputError, match="are damaged"):
            good.model_copy(update={"size": size}).content()
    assert "packed" not in repr(good)
