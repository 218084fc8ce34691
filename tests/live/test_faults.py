# SPDX-License-Identifier: Apache-2.0
"""A sample of the matrix of faults: other cells with each commit; all of them is `make faults`.

Before it, that faults are what they say: one that does nothing would let everything be green.
"""

import errno
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence

import pytest

import lab
from lab import namespaces, prefect_server
from lab.faults import hosts, network, services
from lab.faults.network import PacketFault, Party
from lab.records import Lab
from tests.live.faults import book, matrix, scene
from tests.live.faults.courses import COURSES, Stage
from tests.live.faults.faults import FAULTS
from tests.live.faults.play import play
from tests.live.faults.records import Cell, SeenStep
from tests.live.faults.scene import Scene
from tests.live.faults.trying import stage_of
from tradewind.errors import TradewindError
from tradewind.ledger import open_ledger

pytestmark = pytest.mark.live


@pytest.fixture(scope="module")
def seed() -> str:
    """What the sample follows from: to be repeated, check this commit out."""
    found = book.commit()
    print(f"\nthe sample of faults follows from {found}")
    return found


@pytest.fixture(scope="module")
def lent(the_lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with scene.scene(the_lab, tmp_path_factory.mktemp("faults")) as lent:
        yield lent
        scene.leave(lent)


@pytest.fixture(scope="module")
def stage(lent: Scene) -> Stage:
    """A machine that runs and has a replica."""
    return stage_of(lent, COURSES["rehearse"])


def failure_of(ask: Callable[[], object]) -> type[BaseException] | None:
    """Say how something fails; None when it does not."""
    try:
        ask()
    except OSError as error:
        return type(error)
    return None


def reach(address: str) -> None:
    socket.create_connection((address, 22), timeout=3).close()


def ask_prefect() -> None:
    urllib.request.urlopen(f"{prefect_server.ui_url()}/api/health", timeout=3).close()


def test_a_cut_is_between_two_and_ends(lent: Scene) -> None:
    source, destination = (host.address for host in lent.hosts)
    for how, expected in (
        (PacketFault.RESET, ConnectionRefusedError),
        (PacketFault.DROP, TimeoutError),
    ):
        with network.cut(Party.CONTROLLER, Party.DESTINATION, how):
            assert failure_of(lambda: reach(destination)) is expected
            assert failure_of(lambda: reach(source)) is None
        assert failure_of(lambda: reach(destination)) is None
    with network.cut(Party.SOURCE, Party.DESTINATION, PacketFault.DROP):
        assert failure_of(lambda: reach(destination)) is None
        from_source = ["timeout", "3", "bash", "-c", f"exec 3<>/dev/tcp/{destination}/22"]
        assert lab.run(lent.source, from_source, check=False).returncode != 0
    assert lab.run(lent.source, from_source).returncode == 0


def test_daemons_are_away_and_back_and_guests_stay(lent: Scene) -> None:
    before = lent.bystanders()
    plan = namespaces.plan_of(lent.destination)
    with hosts.daemons_restarted(plan):
        assert lab.run(lent.destination, ["virsh", "list"], check=False).returncode != 0
    assert lent.bystanders() == before


def test_a_full_pool_takes_nothing_and_is_emptied_again(lent: Scene) -> None:
    plan = namespaces.plan_of(lent.destination)
    file = hosts.bounded_file(plan, "one-more")
    with hosts.pool_filled(plan), pytest.raises(OSError, match="No space") as caught:
        file.write_bytes(bytes(1 << 16))
    assert caught.value.errno == errno.ENOSPC
    file.write_bytes(bytes(1 << 16))
    file.unlink()


def test_prefect_is_away_or_silent_and_back(lent: Scene) -> None:
    with services.api_hanging():
        assert failure_of(ask_prefect) is TimeoutError
    assert failure_of(ask_prefect) is None
    with services.api_gone():
        assert failure_of(ask_prefect) is urllib.error.URLError
    assert failure_of(ask_prefect) is None


def test_a_ledger_that_is_gone_is_not_made_anew(lent: Scene) -> None:
    with open_ledger(str(scene.LEDGER)):
        pass
    with services.ledger_gone(scene.LEDGER), pytest.raises(TradewindError, match="cannot be made"):
        open_ledger(str(scene.LEDGER)).__enter__()
    assert scene.LEDGER.exists()


def sample(course: str, seen: Sequence[SeenStep], seed: str, count: int) -> list[Cell]:
    """Choose cells whose faults are over before the run is: the others take minutes each."""
    found = list(matrix.cells(COURSES[course], seen))
    return [cell for cell in matrix.spread(found, seed) if not FAULTS[cell.fault].is_lasting][
        :count
    ]


def check(stage: Stage, cells: Sequence[Cell]) -> None:
    begun = time.monotonic()
    assert cells
    for outcome in play(stage, cells):
        print(f"\n{outcome.cell.title}: {outcome.fate}")
        assert outcome.green, f"{outcome.broken}\n{outcome.said}"
    print(f"{len(cells)} cells in {time.monotonic() - begun:.0f} s")


def test_a_rehearsal_that_is_hurt_loses_leaks_and_doubles_nothing(stage: Stage, seed: str) -> None:
    run = stage.run()
    assert run.status == 0, run.said[-4000:]
    check(stage, sample("rehearse", run.steps, seed, 2))


def test_a_transfer_that_is_hurt_loses_and_leaks_nothing(stage: Stage, seed: str) -> None:
    stage.course = COURSES["update"]
    # A replica that an earlier run has kept was made without any step.
    seen = stage.first_steps or stage.run().steps
    check(stage, sample("update", seen, seed, 1))


@pytest.mark.slow
def test_a_move_that_is_hurt_never_ends_with_two_machines_or_none(lent: Scene, seed: str) -> None:
    moving = stage_of(lent, COURSES["migrate"])
    run = moving.run()
    assert run.status == 0, run.said[-4000:]
    moving.remove_deployed()
    moving.revive()
    check(moving, sample("migrate", run.steps, seed, 2))
