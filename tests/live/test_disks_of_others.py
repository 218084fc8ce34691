# SPDX-License-Identifier: Apache-2.0
"""No byte on disks that somebody uses: on real hosts, with what a person does by hand there."""

import itertools
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

import lab
from lab import namespaces, settings, site
from lab.records import Lab
from tests.live import hosts, running
from tests.live.running import Running
from tradewind.errors import BootFailedError, BusyError
from tradewind.host.storage import witness
from tradewind.ledger import kept, open_ledger
from tradewind.model.leftover import LeftoverKind
from tradewind.model.report import SweepReport
from tradewind.model.requests import DeployRequest, RemovalRequest
from tradewind.units import MiB

pytestmark = pytest.mark.live

_NUMBERS = itertools.count(1)
BY_HAND = """<domain type='qemu'><name>byhand</name><memory unit='MiB'>64</memory>
<os><type arch='x86_64' machine='q35'>hvm</type></os><devices>
<disk type='{type}' device='disk'><driver name='qemu' type='qcow2'/>
<source {source}/><target dev='vda' bus='virtio'/></disk></devices></domain>"""


@pytest.fixture
def busy(the_lab: Lab) -> Iterator[Running]:
    """A machine without a system, which writes when it is told to."""
    for host in (the_lab.source, the_lab.destination):
        lab.wipe(host)
    # A name of its own: the ledger still knows the machine of the test before.
    machine = running.make(the_lab.source, f"lender{next(_NUMBERS)}", {"vda": "64M"})
    machine.io("vda", "write -P 1 1M 8M")
    yield machine
    for host in (the_lab.source, the_lab.destination):
        lab.wipe(host)


def virsh(the_lab: Lab, *words: str) -> str:
    return lab.run(the_lab.destination, ["virsh", *words]).stdout


def define(the_lab: Lab, xml: str) -> None:
    argv = namespaces.enter(
        namespaces.plan_of(the_lab.destination), ["virsh", "define", "/dev/stdin"]
    )
    subprocess.run(argv, input=xml, text=True, check=True, capture_output=True)


def deployment(machine: Running, **changes: object) -> DeployRequest:
    names = {"machine": machine.name, "source": site.SOURCE, "destination": site.DESTINATION}
    plain = {"skip_os_morphing": True, "network_map": {"default": "default"}}
    return DeployRequest.model_validate({**names, **plain, **changes})


def swept() -> SweepReport:
    from flows.sweep import sweep  # noqa: PLC0415 - Prefect reads its settings at import

    (report,) = sweep([site.DESTINATION])
    return report


def replica_of(the_lab: Lab, machine: Running) -> Path:
    named = [
        name
        for name in hosts.traces(the_lab.destination)["volumes"]
        if name.startswith(f"{machine.name}-")
    ]
    return hosts.volume_file(the_lab.destination, named[0])


def test_replica_that_a_person_made_a_machine_of_is_not_written_to(
    the_lab: Lab, busy: Running
) -> None:
    """The machine is shut off; it names its disk by pool and volume, by path, by a snapshot."""
    busy.transfer()
    replica = replica_of(the_lab, busy)
    define(the_lab, BY_HAND.format(type="volume", source=f"pool='default' volume='{replica.name}'"))
    for number, snapshot in enumerate((False, True)):
        if snapshot:
            virsh(the_lab, "undefine", "byhand")
            path = f"/var/lib/libvirt/images/{replica.name}"
            define(the_lab, BY_HAND.format(type="file", source=f"file='{path}'"))
            virsh(the_lab, "snapshot-create-as", "byhand", "one", "--disk-only", "--no-metadata")
        before = replica.read_bytes()
        busy.io("vda", f"write -P {5 + number} 20M 1M")
        with pytest.raises(BusyError, match=f"{replica.name} by machine byhand"):
            busy.transfer()
        assert replica.read_bytes() == before
    virsh(the_lab, "undefine", "byhand")
    with pytest.raises(BusyError, match="which lies on top of it"):
        busy.transfer()
    top = next(
        name for name in virsh(the_lab, "vol-list", "default").split() if name.endswith(".one")
    )
    virsh(the_lab, "vol-delete", top, "default")
    assert busy.transfer().sent == MiB
    running.assert_same(busy, replica, "vda")


def test_kept_machine_with_a_snapshot_outlives_the_next_transfer_and_the_sweep(
    the_lab: Lab, busy: Running
) -> None:
    from flows.deploy import deploy  # noqa: PLC0415 - Prefect reads its settings at import

    busy.transfer()
    with pytest.raises(BootFailedError, match="tradewind kept list"):
        deploy(deployment(busy, on_boot_failure="stop", boot_timeout=5))
    with open_ledger(str(settings.ledger_file)) as ledger:
        (waits,) = kept.all_kept(ledger)
    assert (waits.domain, waits.destination) == (busy.name, site.DESTINATION)
    virsh(the_lab, "snapshot-create-as", busy.name, "mine", "--disk-only", "--no-metadata")
    its_own = {
        line.split()[1]
        for line in virsh(the_lab, "domblklist", busy.name).splitlines()[2:]
        if line.strip()
    }
    assert [path for path in its_own if path.endswith(".mine")]
    busy.transfer()
    report = swept()
    assert report.dead == ()
    assert any(f"machine {busy.name} waits" in note for note in report.notes)
    virsh(the_lab, "start", busy.name, "--paused")  # its whole chain is there
    virsh(the_lab, "destroy", busy.name)
    virsh(the_lab, "undefine", busy.name, "--nvram", "--tpm")
    assert not any(f"machine {busy.name} waits" in note for note in swept().notes)
    with open_ledger(str(settings.ledger_file)) as ledger:
        assert kept.all_kept(ledger) == []


@pytest.mark.slow
def test_ledger_of_yesterday_is_restored(the_lab: Lab, busy: Running, tmp_path: Path) -> None:
    """Each kind of run refuses or repairs; the machine that was deployed today keeps its disks."""
    from flows.delete_replica import delete_replica  # noqa: PLC0415
    from flows.deploy import deploy  # noqa: PLC0415

    busy.transfer()
    replica = replica_of(the_lab, busy)
    yesterday = tmp_path / "ledger.sqlite"
    shutil.copy(settings.ledger_file, yesterday)

    busy.io("vda", "write -P 9 30M 2M")
    busy.transfer()
    deployed = deploy(deployment(busy, name=f"{busy.name}-today", start=False))
    shutil.copy(yesterday, settings.ledger_file)

    clones = {
        name for name in hosts.traces(the_lab.destination)["volumes"] if deployed.deployment in name
    }
    assert clones
    with pytest.raises(BusyError, match="is not what this ledger knows"):
        deploy(deployment(busy, name=f"{busy.name}-again", start=False))
    assert swept().dead == ()
    busy.io("vda", "write -P 8 40M 1M")
    report = busy.transfer()
    assert any("all of it is compared" in note for note in report.notes)
    assert report.sent == MiB
    running.assert_same(busy, replica, "vda")
    assert not [note for note in busy.transfer().notes if "compared" in note]
    deploy(deployment(busy, name=f"{busy.name}-again", clone_disks=False, start=False))

    shutil.copy(yesterday, settings.ledger_file)
    kept_bytes = replica.read_bytes()
    anew = busy.transfer()
    assert [each.disk_id for each in anew.plan.create] == ["vda"]
    assert any(f"{busy.name}-again" in note for note in anew.notes)
    assert replica.read_bytes() == kept_bytes
    asked = {"machine": busy.name, "source": site.SOURCE, "destination": site.DESTINATION}
    gone = delete_replica(RemovalRequest.model_validate(asked))
    assert [each.name for each in gone.volumes] == [each.volume.name for each in anew.plan.create]
    assert replica.read_bytes() == kept_bytes
    assert clones <= set(hosts.traces(the_lab.destination)["volumes"])
    assert {f"{busy.name}-today", f"{busy.name}-again"} <= set(
        virsh(the_lab, "list", "--all", "--name").split()
    )

    virsh(the_lab, "undefine", f"{busy.name}-again", "--nvram", "--tpm", "--remove-all-storage")
    gone_too = [each.name for each in swept().dead if each.kind is LeftoverKind.WITNESS]
    assert gone_too == [f"{replica.name}{witness.SUFFIX}"]
