# SPDX-License-Identifier: Apache-2.0
"""A guest is frozen for a moment, and never left so: whatever its agent does."""

import signal
import threading
import time
from collections.abc import Iterator

import libvirt
import libvirt_qemu
import pytest

from tests.fakes.guest_agent import FakeAgent, HangsError, play
from tests.fakes.libvirt_fakes import FakeConnection, FakeDomain, libvirt_error
from tradewind.errors import HypervisorError
from tradewind.host import leftovers
from tradewind.host.domain import domains, freeze
from tradewind.model.leftover import LeftoverKind

RUN, OTHER = "0123456789ab", "ba9876543210"
DOMAIN = """<domain type="test"><name>db</name><memory>1024</memory><os><type>hvm</type></os>
</domain>"""
REFUSED = libvirt_error(libvirt.VIR_ERR_INTERNAL_ERROR, "命令被禁用")


@pytest.fixture
def domain(host: FakeConnection) -> FakeDomain:
    domains.start_transient(host, DOMAIN)
    return host.listAllDomains()[0]


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(freeze, "THAW_PATIENCE", 0.1)
    monkeypatch.setattr(freeze, "_LEFTOVER_PATIENCE", 0.1)


def frozen(domain: FakeDomain, timeout: int = 30) -> freeze.FreezeOutcome:
    with freeze.frozen(domain, RUN, timeout) as moment:
        pass
    return moment


def test_guest_is_frozen_for_the_moment_only(
    domain: FakeDomain, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = play(monkeypatch)
    with freeze.frozen(domain, RUN, 7) as moment:
        assert agent.is_frozen
        assert freeze.marked_by(domain) == RUN
    assert not agent.is_frozen
    assert freeze.marked_by(domain) is None
    assert (moment.consistency, moment.notes) == (freeze.FROZEN, ())
    assert agent.timeouts["guest-fsfreeze-freeze"] == 7


def test_guest_without_an_agent_is_crash_consistent(domain: FakeDomain) -> None:
    """The test driver has none, and says so itself."""
    moment = frozen(domain)
    assert (moment.consistency, moment.notes) == (freeze.CRASH_CONSISTENT, ())


def test_guest_is_thawed_when_the_block_fails(
    domain: FakeDomain, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = play(monkeypatch)
    with pytest.raises(ValueError, match="no backup"), freeze.frozen(domain, RUN, 30):
        raise ValueError("no backup")
    assert not agent.is_frozen
    assert freeze.marked_by(domain) is None


def test_refused_freeze_is_thawed_and_told(
    domain: FakeDomain, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An agent that fails in the middle may have frozen some file systems."""
    agent = play(monkeypatch, freeze=REFUSED)
    moment = frozen(domain)
    assert agent.asked[-2:] == ["guest-fsfreeze-freeze", "guest-fsfreeze-thaw"]
    assert moment.consistency == freeze.NOT_FROZEN
    assert "was not frozen within 30 s (freeze_timeout), or refused it" in moment.notes[0]
    assert freeze.marked_by(domain) is None


def test_freeze_that_hangs_is_given_up_and_its_mark_stays(
    host: FakeConnection, domain: FakeDomain, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its hook ends some time, and then the guest freezes: whoever comes next thaws it."""
    agent = play(monkeypatch, freeze=HangsError)
    moment = frozen(domain)
    assert moment.is_thaw_due
    assert any("MAY STILL BE FROZEN" in note for note in moment.notes)
    (left,) = leftovers.find(host)
    assert (left.kind, left.run, left.name) == (LeftoverKind.FREEZE, RUN, "db")
    with pytest.raises(HypervisorError, match="MAY STILL BE FROZEN"):
        leftovers.remove(host, left)
    leftovers.remove_run(host, RUN)  # nothing else is kept from being removed
    agent.release()
    assert agent.is_frozen
    leftovers.remove_run(host, OTHER)
    assert agent.is_frozen
    leftovers.remove_run(host, RUN)
    assert not agent.is_frozen
    assert leftovers.find(host) == ()


def test_refused_thaw_is_tried_again_and_told(
    domain: FakeDomain, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(freeze, "THAW_PATIENCE", 1.5)
    agent = play(monkeypatch, thaw=REFUSED)
    moment = frozen(domain)
    assert agent.asked.count("guest-fsfreeze-thaw") > 1
    assert moment.is_thaw_due
    assert moment.consistency == freeze.FROZEN  # the snapshot is there, and good
    assert "virsh domfsthaw db" in moment.notes[0]


def test_next_run_thaws_first_and_does_not_freeze_what_stands_still(
    domain: FakeDomain, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = play(monkeypatch, thaw=REFUSED)
    frozen(domain)
    agent.asked.clear()
    moment = frozen(domain)
    assert "guest-fsfreeze-freeze" not in agent.asked
    assert "MAY STILL BE FROZEN" in moment.notes[0]
    del agent.instead["guest-fsfreeze-thaw"]
    assert frozen(domain).consistency == freeze.FROZEN
    assert not agent.is_frozen


def test_run_killed_between_freeze_and_thaw_is_thawed_by_the_next(
    domain: FakeDomain, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = play(monkeypatch)
    killed = freeze.frozen(domain, OTHER, 30)
    killed.__enter__()  # and no more of it
    assert agent.is_frozen
    agent.asked.clear()
    assert frozen(domain).consistency == freeze.FROZEN
    assert agent.asked.index("guest-fsfreeze-thaw") < agent.asked.index("guest-fsfreeze-freeze")
    assert not agent.is_frozen


def test_what_others_froze_stays_frozen(
    domain: FakeDomain, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = play(monkeypatch)
    agent.is_frozen = True
    moment = frozen(domain)
    assert agent.is_frozen
    assert "by another program" in moment.notes[0]
    assert set(agent.asked) == {"guest-fsfreeze-status"}


def test_guest_that_thawed_by_itself_was_not_frozen(
    domain: FakeDomain, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = play(monkeypatch)
    with freeze.frozen(domain, RUN, 30) as moment:
        agent.is_frozen = False  # Windows does so after ten seconds
    assert moment.consistency == freeze.NOT_FROZEN
    assert "thawed by somebody else" in moment.notes[0]


def test_without_a_mark_nothing_is_frozen(
    domain: FakeDomain, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = play(monkeypatch)

    def refuse(*_arguments: object) -> int:
        raise libvirt_error(libvirt.VIR_ERR_OPERATION_TIMEOUT)

    monkeypatch.setattr(libvirt.virDomain, "setMetadata", refuse)
    moment = frozen(domain)
    assert "guest-fsfreeze-freeze" not in agent.asked
    assert "takes no mark" in moment.notes[0]


@pytest.mark.parametrize(
    "said",
    ["{}", "[]", '"x"', "null", '{"return": [1]}', "nonsense", "[" * 100_000, '{"return": "%s"}'],
)
def test_nonsense_is_no_answer_and_no_traceback(
    domain: FakeDomain, monkeypatch: pytest.MonkeyPatch, said: str
) -> None:
    huge = said % ("x" * (2 << 20)) if "%s" in said else said
    agent = play(monkeypatch, status=huge)
    assert frozen(domain).consistency == freeze.CRASH_CONSISTENT
    agent.instead = {"guest-fsfreeze-freeze": huge, "guest-fsfreeze-thaw": huge}
    agent.is_frozen = False
    moment = frozen(domain)
    assert not moment.is_thaw_due  # its status says that it is thawed
    assert len("".join(moment.notes)) < 1000


class Stop(BaseException):
    """What Prefect raises for SIGTERM."""


@pytest.fixture
def alarm() -> Iterator[None]:
    def stop(*_: object) -> None:
        raise Stop

    before = signal.signal(signal.SIGALRM, stop)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def test_signal_is_heard_during_a_freeze_that_hangs_and_the_guest_is_thawed(
    domain: FakeDomain, monkeypatch: pytest.MonkeyPatch, alarm: None
) -> None:
    """The call itself goes on; the thaw waits for it, as libvirt's agent job makes it wait."""
    agent, slow = FakeAgent(), threading.Event()
    heard: list[float] = []

    def command(domain: object, request: str, timeout: int, flags: int) -> str:
        if "fsfreeze-freeze" in request:
            slow.wait(30)
        if "fsfreeze-thaw" in request:
            heard.append(time.monotonic())
            slow.set()
        return agent.command(domain, request, timeout, flags)

    monkeypatch.setattr(freeze, "THAW_PATIENCE", 5)
    monkeypatch.setattr(libvirt_qemu, "qemuAgentCommand", command)
    signal.setitimer(signal.ITIMER_REAL, 0.3)
    begun = time.monotonic()
    with pytest.raises(Stop), freeze.frozen(domain, RUN, 30):
        raise AssertionError("it froze")
    assert heard[0] - begun < 20  # the freeze would have hung for thirty seconds
