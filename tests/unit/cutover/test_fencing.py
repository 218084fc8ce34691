# SPDX-License-Identifier: Apache-2.0
"""What counts as the new machine, and what is not touched."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.fakes.libvirt_fakes import FakeConnection, FakeDomain, open_fake
from tests.fakes.memory import MemorySource
from tradewind.cutover import fencing, original
from tradewind.errors import FencingError
from tradewind.host.domain import domains
from tradewind.model.cutover import NewMachine, Outage
from tradewind.model.ledger import Life
from tradewind.model.machine import PowerState
from tradewind.model.migrate import MigrateRequest
from tradewind.model.outage import OutagePhase
from tradewind.model.requests import TransferRequest
from tradewind.model.run import Label, LabelState, Purpose

RUN, OLDER = "0123456789ab", "feedfacecafe"
BEGUN = datetime(2026, 12, 1, 12, 4, tzinfo=UTC)
PLAIN = """<domain type="test"><name>{name}</name><memory>1024</memory>
<os><type>hvm</type></os></domain>"""
SOURCE = MemorySource({"web": {"vda": bytes(1 << 20)}})
MOVE = MigrateRequest(transfer=TransferRequest(machine="web", source="old", destination="new"))


@pytest.fixture
def host(tmp_path: Path) -> Iterator[FakeConnection]:
    connection = open_fake(tmp_path)
    yield connection
    connection.close()


def outage(new: str | None = "web", deployment: str | None = RUN) -> Outage:
    made = NewMachine(run=RUN, name=new, uuid="uuid") if new else None
    return Outage(
        id="a" * 12,
        transfer="cafe0001",
        source="old",
        destination="new",
        begun=BEGUN,
        phase=OutagePhase.DEFINED,
        machine=SOURCE.inspect("web"),
        request=MOVE,
        driver=Life.ALIVE,
        deployment=deployment,
        new=made,
    )


def make(host: FakeConnection, name: str, **changes: object) -> None:
    """Define and start a machine with a label of the outage's deployment, but for the changes."""
    plain = {
        "transfer": "cafe0001",
        "run": RUN,
        "purpose": Purpose.MACHINE,
        "created": BEGUN + timedelta(minutes=3),
        "controller": "mover",
    }
    domains.define(host, PLAIN.format(name=name))
    domains.start(host, name)
    domains.write_label(host, name, Label.model_validate({**plain, **changes}))


def runs(host: FakeConnection, name: str) -> bool:
    return bool(domains.require_domain(host, name).isActive())


def test_new_machine_is_switched_off_and_stays_defined(host: FakeConnection) -> None:
    make(host, "web")
    fencing.fence(host, outage())
    assert not runs(host, "web")


def test_new_machine_is_known_without_the_name_of_its_run(host: FakeConnection) -> None:
    """The ledger may not have taken it down."""
    make(host, "web")
    fencing.fence(host, outage(new=None, deployment=None))
    assert not runs(host, "web")


@pytest.mark.parametrize("state", list(LabelState))
def test_label_s_state_is_no_reason_to_trust_it(host: FakeConnection, state: LabelState) -> None:
    make(host, "web", state=state)
    fencing.fence(host, outage())
    assert not runs(host, "web")


@pytest.mark.parametrize(
    "other",
    [
        {"transfer": "beef0002", "run": OLDER},
        {"run": OLDER, "created": BEGUN - timedelta(days=1)},
    ],
    ids=["of another transfer", "deployed before the outage"],
)
def test_machines_of_others_go_on(host: FakeConnection, other: dict[str, object]) -> None:
    make(host, "trial", **other)
    fencing.fence(host, outage())
    fencing.clear(host, outage())
    assert runs(host, "trial")


def test_worker_of_the_run_is_no_machine_and_is_cleared(host: FakeConnection) -> None:
    make(host, "worker", purpose=Purpose.MORPHING)
    fencing.fence(host, outage())
    assert runs(host, "worker")
    fencing.clear(host, outage())
    assert domains.find_domain(host, "worker") is None


def test_stranger_of_that_name_is_not_touched(host: FakeConnection) -> None:
    domains.define(host, PLAIN.format(name="web"))
    domains.start(host, "web")
    with pytest.raises(FencingError, match="without its label"):
        fencing.fence(host, outage())
    assert runs(host, "web")
    domains.require_domain(host, "web").destroy()
    fencing.fence(host, outage())


def test_renamed_machine_is_not_touched(host: FakeConnection) -> None:
    make(host, "mine")
    for call in (fencing.fence, fencing.clear, fencing.find_new_machine):
        with pytest.raises(FencingError, match="is called “mine”"):
            call(host, outage())
    assert runs(host, "mine")


def test_machine_that_starts_again_at_once_is_named(
    host: FakeConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(host, "web")
    monkeypatch.setattr(FakeDomain, "destroy", lambda _self: 0, raising=False)
    with pytest.raises(FencingError, match="after it was switched off"):
        fencing.fence(host, outage())


def test_clearing_removes_the_machine_but_not_one_that_is_kept(host: FakeConnection) -> None:
    make(host, "web", state=LabelState.FINISHED)
    fencing.clear(host, outage())
    assert domains.find_domain(host, "web") is None
    make(host, "web", state=LabelState.FINISHED)
    fencing.clear(host, outage(), kept=True)
    assert not runs(host, "web")


def test_nothing_there_is_proven(host: FakeConnection) -> None:
    assert fencing.find_new_machine(host, outage()) is None
    fencing.fence(host, outage())


def test_original_that_runs_is_told() -> None:
    now = SOURCE.inspect("web").model_copy(update={"power": PowerState.RUNNING})
    with pytest.raises(FencingError, match="somebody has started it"):
        original.require_off(now, "old")
    original.require_off(SOURCE.inspect("web"), "old")


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"name": "web-old"}, "it is called web-old"),
        ({"vcpus": 8}, "its CPUs, memory or firmware"),
        ({"disks": ()}, "its disks"),
    ],
)
def test_edits_of_the_original_are_named(changed: dict[str, object], said: str) -> None:
    source = MemorySource({"web": {"vda": bytes(1 << 20)}})
    now = source.inspect("web")
    then = now.model_copy(update=changed)
    if "name" in changed:
        then, now = now, then
    changes = tuple(original._changes(then, now))
    assert changes == (said,)
    if "name" not in changed:
        with pytest.raises(FencingError, match=said):
            original.require_unchanged(source, then, "old")
        assert original.require_unchanged(source, then, "old", accept_edits=True) == now


def test_any_edit_of_the_definition_is_an_edit(monkeypatch: pytest.MonkeyPatch) -> None:
    """More vCPUs that the guest may get later, say: nothing that has a word of its own."""
    plain = PLAIN.format(name="web")
    then = SOURCE.inspect("web").model_copy(update={"description": plain})
    edited = plain.replace("</domain>", "<vcpu current='1'>2</vcpu></domain>")
    now = then.model_copy(update={"description": edited})
    monkeypatch.setattr(MemorySource, "inspect", lambda _source, _id: now)
    with pytest.raises(FencingError, match="its definition"):
        original.require_unchanged(SOURCE, then, "old")
    assert original.require_unchanged(SOURCE, then, "old", accept_edits=True) == now
    assert original.require_unchanged(SOURCE, now, "old") == now


def test_original_that_nobody_edited_is_as_it_was() -> None:
    machine = SOURCE.inspect("web").model_copy(update={"autostart": True})
    assert original.require_unchanged(SOURCE, machine, "old").name == "web"
