# SPDX-License-Identifier: Apache-2.0
"""Everything that is missing on a host, at once."""

from contextlib import nullcontext

import libvirt
import pytest
from pydantic import SecretStr

from tests.fakes.libvirt_fakes import FakeConnection
from tradewind.errors import BadInputError, ConnectionFailedError, NotFoundError
from tradewind.host.validate import findings, require_all, require_network, route_findings
from tradewind.model.finding import Finding, Severity
from tradewind.model.host import HostAccess, HostFacts, WorkerAccess


def fail(error: Exception) -> None:
    raise error


def test_one_problem_stays_what_it_is() -> None:
    ran: list[int] = []
    with pytest.raises(NotFoundError, match="no pool") as caught:
        require_all([lambda: fail(NotFoundError("no pool", "make one")), lambda: ran.append(1)])
    assert caught.value.hint == "make one"
    assert ran == [1]  # the others were looked at all the same


def test_several_problems_are_one_error() -> None:
    with pytest.raises(BadInputError) as caught:
        require_all(
            [
                lambda: fail(NotFoundError("no pool", "make one")),
                lambda: None,
                lambda: fail(BadInputError("no network")),
            ]
        )
    assert caught.value.message == "2 problems:\n• no pool\n  → make one\n• no network"


def test_other_errors_are_not_collected() -> None:
    with pytest.raises(ConnectionFailedError):
        require_all([lambda: fail(ConnectionFailedError("gone"))])


def test_sound_host_lacks_nothing_but_mentions_what_sleeps(
    host: FakeConnection, facts: HostFacts
) -> None:
    sound = facts.model_copy(update={"kvm": True, "uefi": True, "tpm": True})
    assert findings(host, sound) == (
        Finding(
            severity=Severity.NOTE,
            what="network stopped is not running",
            evidence="virsh net-info stopped: Active: no",
            remedy="if a machine needs it: virsh net-start stopped",
        ),
    )


def test_poor_machine_gets_warnings_with_remedies(host: FakeConnection, facts: HostFacts) -> None:
    poor = facts.model_copy(update={"kvm": False, "uefi": False, "tpm": False})
    found = [item for item in findings(host, poor) if item.severity is Severity.WARNING]
    assert [item.what.split(":")[0] for item in found] == [
        f"{facts.hostname} has no KVM",
        "no UEFI firmware for guests",
        "no TPM for guests",
    ]
    assert all(item.remedy and item.evidence for item in found)


def test_host_without_dir_pool_and_network(host: FakeConnection, facts: HostFacts) -> None:
    for pool in ("images", "fast"):
        host.storagePoolLookupByName(pool).destroy()
    host.networkLookupByName("lan").destroy()
    errors = [item for item in findings(host, facts) if item.severity is Severity.ERROR]
    assert [(item.what, item.evidence) for item in errors] == [
        ("no running dir pool for worker images", "running pools of other types: vg"),
        ("no running libvirt network", "virsh net-list --all: lan, stopped"),
    ]
    host.storagePoolLookupByName("vg").destroy()
    errors = [item for item in findings(host, facts) if item.severity is Severity.ERROR]
    assert errors[0].what == "no running storage pool"


def test_network_of_an_option(host: FakeConnection) -> None:
    require_network(host, "lan", "migr_worker_network")
    with pytest.raises(BadInputError, match="option migr_worker_network is empty"):
        require_network(host, None, "migr_worker_network")
    with pytest.raises(NotFoundError, match="no libvirt network “lam”") as caught:
        require_network(host, "lam", "migr_worker_network")
    assert caught.value.hint == "choose one of: lan, stopped"
    with pytest.raises(NotFoundError, match=r"“stopped” on .* is not running") as caught:
        require_network(host, "stopped", "migr_worker_network")
    assert "virsh net-start stopped" in caught.value.hint


@pytest.mark.parametrize(
    ("worker_access", "forwards", "expected"),
    [("direct", False, []), ("via-host", True, []), ("via-host", False, ["AllowTcpForwarding"])],
)
def test_a_road_through_a_host_that_forwards_nothing(
    monkeypatch: pytest.MonkeyPatch, worker_access: str, forwards: bool, expected: list[str]
) -> None:
    class Host:
        def forwards(self) -> bool:
            return forwards

    access = HostAccess(
        host="kvm1",
        username="mover",
        private_key=SecretStr("k"),
        host_key="h",
        worker_access=WorkerAccess(worker_access),
    )
    monkeypatch.setattr("tradewind.remote.shell.connect_to_host", lambda _: nullcontext(Host()))
    found = route_findings(access)
    assert [item.remedy.split()[1] for item in found] == expected


def test_nothing_was_changed(host: FakeConnection, facts: HostFacts) -> None:
    findings(host, facts)
    assert host.networkLookupByName("stopped").isActive() == 0
    assert host.storagePoolLookupByName("asleep").isActive() == 0
    assert host.listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_ACTIVE) == []
