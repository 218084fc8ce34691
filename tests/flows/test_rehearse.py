# SPDX-License-Identifier: Apache-2.0
"""A rehearsal: everything happens, and nothing of it is left but the evidence."""

import sqlite3
from typing import Any

import pytest

from flows.deploy import deploy
from tests.fakes.flow_stage import NIC, Stage
from tradewind.errors import BadInputError, BootFailedError, OptionError
from tradewind.host import leftovers, networks
from tradewind.host.domain import domains
from tradewind.model.ledger import RunKind


@pytest.fixture
def replica(stage: Stage) -> Stage:
    stage.make_replica()
    return stage


def rows(stage: Stage) -> dict[str, list[Any]]:
    """Read the ledger's replicas, past the ledger."""
    with sqlite3.connect(stage.ledger_place) as ledger:
        return {
            table: sorted(ledger.execute(f"SELECT * FROM {table}"))  # noqa: S608 - our own names
            for table in ("transfer", "disk")
        }


def traces(stage: Stage) -> tuple[set[str], set[str], set[str]]:
    return stage.volumes(), stage.domains(), stage.networks()


def last_run(stage: Stage) -> tuple[str, str]:
    with stage.ledger() as ledger:
        (state,) = ledger.replicas()
    return str(state.run_kind), str(state.run_state)


def look_around(stage: Stage, found: list[Any]) -> None:
    """See, while the machine boots, where it is."""
    domain = domains.require_domain(stage.host, "web01-rehearsal")
    xml = domain.XMLDesc()
    (network,) = stage.networks() - {"lan", "stopped"}
    made = networks.find(stage.host, network)
    assert made is not None
    found += [xml, network, made.XMLDesc()]


def test_nothing_is_left_but_the_evidence(replica: Stage) -> None:
    before, known = traces(replica), rows(replica)
    seen: list[Any] = []
    replica.instead_of_proof = lambda: look_around(replica, seen)
    report = deploy(replica.deploy(rehearse=True, network_map={}))
    xml, network, described = seen
    assert network == f"tradewind-{report.deployment}-rehearsal"
    assert "<forward" not in described
    assert NIC.mac in xml
    assert network in xml
    assert "-console.log" not in xml
    assert leftovers.run_of(network) == report.deployment
    assert traces(replica) == before
    assert rows(replica) == known
    assert last_run(replica) == (RunKind.REHEARSAL, "completed")
    assert report.word == "rehearsal"
    assert network in report.rehearsal
    assert (replica.evidence / f"{report.proof.kept.folder}").is_dir()  # type: ignore[union-attr]
    replica.instead_of_proof = lambda: None
    deploy(replica.deploy(skip_os_morphing=True))  # the claim is given back


def test_failure_leaves_nothing_but_the_evidence_either(replica: Stage) -> None:
    def fail() -> None:
        raise BootFailedError("no proof")

    before, known = traces(replica), rows(replica)
    replica.instead_of_proof = fail
    with pytest.raises(BootFailedError, match="what was made for the rehearsal is removed"):
        deploy(replica.deploy(rehearse=True, on_boot_failure="keep"))
    assert traces(replica) == before
    assert rows(replica) == known
    assert last_run(replica) == (RunKind.REHEARSAL, "failed")
    assert len(list(replica.evidence.iterdir())) == 1


def test_a_network_of_the_operators_has_to_be_isolated(replica: Stage) -> None:
    before = traces(replica)
    with pytest.raises(BadInputError, match="“lan” on vm is not isolated: it forwards"):
        deploy(replica.deploy(rehearse=True, rehearsal_network="lan"))
    assert replica.diary == []
    networks.make_isolated(replica.host, "quiet", "198.18.7.0/24")
    report = deploy(replica.deploy(rehearse=True, rehearsal_network="quiet", skip_os_morphing=True))
    assert "network quiet" in report.rehearsal
    assert replica.networks() == {*before[2], "quiet"}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"clone_disks": False}, "would use the replica up"),
        ({"prove_boot": False}, "shows nothing"),
        ({"start": False}, "shows nothing"),
        ({"rehearsal_subnet": "192.168.1.7/24"}, "rehearsal_subnet"),
        ({"rehearsal_subnet": "192.168.1.0/30"}, "no room"),
    ],
)
def test_what_makes_no_sense_is_refused(stage: Stage, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(OptionError, match=said):
        stage.deploy(rehearse=True, **changes)


def test_crashed_rehearsal_is_found_by_the_sweep(replica: Stage) -> None:
    networks.make_isolated(replica.host, "tradewind-0123456789ab-rehearsal", "198.18.7.0/24")
    (found,) = leftovers.find(replica.host)
    assert str(found) == "network tradewind-0123456789ab-rehearsal"
    leftovers.remove_run(replica.host, "0123456789ab")
    assert leftovers.find(replica.host) == ()
    assert replica.networks() == {"lan", "stopped"}
