# SPDX-License-Identifier: Apache-2.0
"""Both mechanisms, both roads to a worker, all sources of its address: small disks, real workers.

The machine and its replicas stay in the lab: other tests compare hosts before and after themselves.
"""

import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest

from lab import namespaces, site
from lab.records import Lab
from tests.live import durations, hosts
from tests.live.tradewind_command import Ended, Tradewind
from tradewind.model.report import TransferReport
from tradewind.units import MiB, human_rate

pytestmark = pytest.mark.live

MACHINE = "roads"
DATA_MIB = 16
NAT, LAN = "default", "lan"


class Trip(NamedTuple):
    """One way to bring a machine's disk to the destination."""

    mechanism: str
    network: str
    source: str

    @property
    def name(self) -> str:
        """Names the endpoint and the options of this trip: another endpoint, another transfer."""
        return f"{self.mechanism}-{self.network}-{self.source}"


@pytest.fixture(scope="module")
def image(the_lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("images") / f"{MACHINE}.qcow2"
    hosts.make_qcow2(path, data_mib=DATA_MIB, size="1G")
    hosts.define_shut_off(the_lab.source, MACHINE, path)
    return path


def travel(tradewind: Tradewind, lab: Lab, trip: Trip) -> Ended:
    """Store endpoint and options as an operator would, and transfer."""
    there = lab.destination
    endpoint = ["--host", there.address, "--username", there.username]
    endpoint += ["--key", str(there.key_path), "--host-key", there.host_key]
    if trip.network == NAT:
        endpoint.append("--via-host")
    chosen = {
        **site.options(),
        "data_transfer_mechanism": trip.mechanism,
        "migr_worker_network": trip.network,
        "migr_worker_iface_addr_src": trip.source,
    }
    options = [f"{name}={value}" for name, value in chosen.items()]
    for words in (
        ["endpoint", "add", trip.name, *endpoint, "--replace"],
        ["options", "set", "--name", trip.name, *options],
    ):
        stored = tradewind.run(*words)
        assert stored.status == 0, stored.stderr[-2000:]
    names = ["--from", site.SOURCE, "--to", trip.name, "--options", trip.name]
    return tradewind.run("transfer", "run", MACHINE, *names, "--json")


def assert_arrived(lab: Lab, ended: Ended, image: Path) -> None:
    """The replica is the machine's disk, to the last byte, and everything sent was proven."""
    assert ended.status == 0, ended.stderr[-4000:]
    report = TransferReport.model_validate_json(ended.stdout)
    print(
        f"\nworker reached after {report.worker_seconds_to_ssh:.1f} s,"
        f" streamed at {human_rate(report.sent, report.stream_seconds)}"
    )
    durations.show(f"transfer-{MACHINE}")
    assert report.sent >= DATA_MIB * MiB
    assert sum(disk.verified for disk in report.disks) >= report.sent
    replica = report.plan.create[0].volume.name
    hosts.assert_same_contents(image, hosts.volume_file(lab.destination, replica))


def without_replicas(traces: dict[str, list[str]]) -> dict[str, list[str]]:
    volumes = [name for name in traces["volumes"] if not name.startswith(f"{MACHINE}-")]
    return {**traces, "volumes": volumes}


@pytest.mark.parametrize(
    "trip",
    [
        pytest.param(Trip("https", NAT, "lease"), marks=pytest.mark.slow),
        Trip("ssh", NAT, "agent"),
        pytest.param(Trip("ssh", LAN, "lease"), marks=pytest.mark.slow),
        pytest.param(Trip("https", LAN, "arp"), marks=pytest.mark.slow),
    ],
    ids=lambda trip: trip.name,
)
def test_the_disk_arrives(tradewind: Tradewind, the_lab: Lab, image: Path, trip: Trip) -> None:
    before = without_replicas(hosts.traces(the_lab.destination))
    assert_arrived(the_lab, travel(tradewind, the_lab, trip), image)
    assert without_replicas(hosts.traces(the_lab.destination)) == before


def test_the_nat_network_is_out_of_the_controllers_reach(the_lab: Lab) -> None:
    """What was reached there was reached through the host."""
    nat = namespaces.plan_of(the_lab.destination).nat
    shown = subprocess.run(
        ["ip", "-4", "route", "show", "root", f"{nat}.0/24"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert shown.stdout == ""
