# SPDX-License-Identifier: Apache-2.0
"""Who may work on a transfer: one at a time, and a dead one does not count."""

import os
import signal
import subprocess
import sys
from datetime import UTC, datetime

import pytest

from tradewind.errors import BadInputError, BusyError
from tradewind.ledger import Ledger, owners
from tradewind.model.ledger import Life, Owner, RunKind, RunState, Transfer
from tradewind.model.machine import VirtualMachine

# A child that begins an execution, says its run and waits to be killed.
_CHILD = """
import sys, time
from tradewind.ledger import open_ledger
from tradewind.model.ledger import RunKind
with open_ledger(sys.argv[1]) as ledger:
    transfer = ledger.find_transfer("old-host", "kvm1", "ledger01")
    print(ledger.begin(transfer, RunKind.EXECUTION).id, flush=True)
    time.sleep(600)
"""


@pytest.fixture
def elsewhere() -> Owner:
    return owners.current().model_copy(update={"machine": "another", "host": "controller2"})


def test_second_run_is_refused_while_the_first_lives(ledger: Ledger, transfer: Transfer) -> None:
    first = ledger.begin(transfer, RunKind.EXECUTION)
    assert ledger.life_of(first.id) is Life.ALIVE
    with pytest.raises(BusyError, match=f"execution {first.id}.*process {os.getpid()}") as caught:
        ledger.begin(transfer, RunKind.DEPLOYMENT)
    assert caught.value.hint
    ledger.finish(first, RunState.COMPLETED)
    assert ledger.life_of(first.id) is Life.FINISHED
    ledger.begin(transfer, RunKind.DEPLOYMENT)


def test_refused_run_leaves_nothing_behind(ledger: Ledger, transfer: Transfer) -> None:
    first = ledger.begin(transfer, RunKind.EXECUTION)
    with pytest.raises(BusyError):
        ledger.begin(transfer, RunKind.EXECUTION)
    ledger.finish(first, RunState.FAILED)
    ledger.begin(transfer, RunKind.EXECUTION)


def test_other_transfers_do_not_mind(
    ledger: Ledger, transfer: Transfer, machine: VirtualMachine
) -> None:
    ledger.begin(transfer, RunKind.EXECUTION)
    elsewhere = ledger.note_transfer("old-host", "kvm2", machine)
    assert elsewhere.id != transfer.id
    ledger.begin(elsewhere, RunKind.EXECUTION)


def test_executions_of_a_source_are_counted(
    ledger: Ledger, transfer: Transfer, machine: VirtualMachine
) -> None:
    assert ledger.executions_from("old-host") == 0
    run = ledger.begin(transfer, RunKind.EXECUTION)
    ledger.begin(ledger.note_transfer("old-host", "kvm2", machine), RunKind.DEPLOYMENT)
    ledger.begin(ledger.note_transfer("other-host", "kvm1", machine), RunKind.EXECUTION)
    dead = owners.current().model_copy(update={"boot": "before"})
    gone = ledger.note_transfer("old-host", "kvm3", machine)
    ledger.begin(gone, RunKind.EXECUTION, dead)
    assert ledger.executions_from("old-host") == 1
    ledger.finish(run, RunState.COMPLETED)
    assert ledger.executions_from("old-host") == 0


def test_killed_process_is_taken_over(ledger: Ledger, transfer: Transfer, place: str) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _CHILD, place], stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        run_id = child.stdout.readline().strip()
        assert ledger.life_of(run_id) is Life.ALIVE
        with pytest.raises(BusyError, match=run_id):
            ledger.begin(transfer, RunKind.EXECUTION)
        child.send_signal(signal.SIGKILL)
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert ledger.life_of(run_id) is Life.DEAD, "a zombie has ended"
        child.wait()
    assert ledger.life_of(run_id) is Life.DEAD
    assert ledger.begin(transfer, RunKind.EXECUTION).id != run_id


def test_machine_that_cannot_be_asked(ledger: Ledger, transfer: Transfer, elsewhere: Owner) -> None:
    run = ledger.begin(transfer, RunKind.EXECUTION, elsewhere)
    assert ledger.life_of(run.id) is Life.UNKNOWN
    with pytest.raises(BusyError, match="begun on controller2") as caught:
        ledger.begin(transfer, RunKind.EXECUTION)
    assert "run the sweep there" in caught.value.hint
    assert "controller forget controller2" in caught.value.hint


def test_machine_that_is_gone_for_good_holds_nothing(
    ledger: Ledger, transfer: Transfer, machine: VirtualMachine, elsewhere: Owner
) -> None:
    lost = ledger.begin(transfer, RunKind.EXECUTION, elsewhere)
    mine = ledger.begin(ledger.note_transfer("old-host", "kvm2", machine), RunKind.EXECUTION)
    assert ledger.give_up("controller2") == (lost.id,)
    assert ledger.give_up("controller2") == ()
    assert [ledger.life_of(run.id) for run in (lost, mine)] == [Life.DEAD, Life.ALIVE]
    ledger.begin(transfer, RunKind.DEPLOYMENT)


def test_this_machine_is_not_given_up(ledger: Ledger) -> None:
    with pytest.raises(BadInputError, match="is this machine"):
        ledger.give_up(owners.current().host)


def test_only_the_dead_are_abandoned(
    ledger: Ledger, transfer: Transfer, machine: VirtualMachine, elsewhere: Owner
) -> None:
    me = owners.current()
    dead = ledger.begin(
        transfer, RunKind.EXECUTION, me.model_copy(update={"started": me.started + 1})
    )
    second = ledger.note_transfer("old-host", "kvm2", machine)
    alive = ledger.begin(second, RunKind.EXECUTION)
    third = ledger.note_transfer("old-host", "kvm3", machine)
    unknown = ledger.begin(third, RunKind.EXECUTION, elsewhere)
    assert ledger.abandon_dead() == (dead.id,)
    assert ledger.abandon_dead() == ()
    lives = [ledger.life_of(run.id) for run in (dead, alive, unknown)]
    assert lives == [Life.DEAD, Life.ALIVE, Life.UNKNOWN]


def test_run_that_nobody_knows(ledger: Ledger) -> None:
    assert ledger.life_of("0123456789ab") is None


# Processes of their own: a fork of a test process that runs a Prefect harness is no clean one.
_RACER = """
import sys
from tradewind.errors import BusyError
from tradewind.ledger import open_ledger
from tradewind.model.ledger import RunKind
with open_ledger(sys.argv[1]) as ledger:
    transfer = ledger.find_transfer("old-host", "kvm1", "ledger01")
    print("ready", flush=True)
    sys.stdin.readline()
    try:
        ledger.begin(transfer, RunKind.EXECUTION)
        print("won", flush=True)
    except BusyError:
        print("refused", flush=True)
    sys.stdin.readline()  # live until both have asked
"""


@pytest.mark.usefixtures("transfer")
def test_of_two_processes_one_wins(place: str) -> None:
    argv = [sys.executable, "-c", _RACER, place]
    racers = [
        subprocess.Popen(argv, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for _ in range(2)
    ]
    assert [_hear(racer) for racer in racers] == ["ready", "ready"]
    for racer in racers:
        _say(racer)
    outcomes = sorted(_hear(racer) for racer in racers)
    for racer in racers:
        _say(racer)
        assert racer.wait(timeout=60) == 0
    assert outcomes == ["refused", "won"]


def _say(racer: "subprocess.Popen[str]") -> None:
    assert racer.stdin is not None
    racer.stdin.write("\n")
    racer.stdin.flush()


def _hear(racer: "subprocess.Popen[str]") -> str:
    assert racer.stdout is not None
    return racer.stdout.readline().strip()


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, Life.ALIVE),
        ({"started": 1}, Life.DEAD),  # the number was used again
        ({"pid": 2**22 + 1}, Life.DEAD),
        ({"boot": "another"}, Life.DEAD),
        ({"machine": "another"}, Life.UNKNOWN),
        ({"host": "clone-of-this-machine", "boot": "another"}, Life.UNKNOWN),
        ({"namespace": 1}, Life.UNKNOWN),  # a container on the same kernel
    ],
)
def test_life(change: dict[str, str | int], expected: Life) -> None:
    assert owners.life(owners.current().model_copy(update=change)) is expected


def test_moments_keep_their_time_zone(
    ledger: Ledger, transfer: Transfer, machine: VirtualMachine
) -> None:
    run = ledger.begin(transfer, RunKind.EXECUTION)
    ledger.complete(run, transfer, run.begun, None)
    synced = ledger.find_transfer("old-host", "kvm1", machine.name).synced
    assert synced == run.begun
    assert synced <= datetime.now(UTC)
