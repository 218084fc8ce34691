# SPDX-License-Identifier: Apache-2.0
"""What a guest's systemd says, through a guest agent that is played."""

import base64
import json
import subprocess
from collections.abc import Callable
from typing import Any

import libvirt
import libvirt_qemu
import pytest

from tests.fakes.libvirt_fakes import libvirt_error
from tradewind.host.boot import systemd_state
from tradewind.host.domain import agent
from tradewind.model.proof import SystemdState
from tradewind.waiting import wait_for

Answer = Callable[[str, dict[str, Any]], Any]


class Domain:
    def name(self) -> str:
        return "web01"


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (agent, systemd_state):
        monkeypatch.setattr(
            module,
            "wait_for",
            lambda look, what, timeout, every: wait_for(look, what, timeout, every=0.01),
        )


def played(monkeypatch: pytest.MonkeyPatch, answer: Answer) -> None:
    def command(_domain: object, request: str, _timeout: int, _flags: int) -> str:
        asked = json.loads(request)
        return json.dumps({"return": answer(asked["execute"], asked["arguments"])})

    monkeypatch.setattr(libvirt_qemu, "qemuAgentCommand", command)


def printing(*outputs: str, status: int = 0) -> Answer:
    """Play an agent whose commands print these, one after the other; the last one for good."""
    left = list(outputs)

    def answer(command: str, arguments: dict[str, Any]) -> Any:
        if command == "guest-exec":
            assert arguments["path"] == "/bin/sh"
            return {"pid": 7}
        assert arguments == {"pid": 7}
        text = left.pop(0) if len(left) > 1 else left[0]
        packed = base64.b64encode(text.encode()).decode()
        return {"exited": True, "exitcode": status, "out-data": packed}

    return answer


def read(settle: float = 5) -> SystemdState:
    return systemd_state.read(Domain(), settle=settle)


def test_all_is_well(monkeypatch: pytest.MonkeyPatch) -> None:
    played(monkeypatch, printing("state running\n"))
    assert read() == SystemdState(state="running")


def test_failed_units_are_named_and_cleaned(monkeypatch: pytest.MonkeyPatch) -> None:
    played(monkeypatch, printing("state degraded\nfailed exim4.service\nfailed \x1b[31mbad\x07\n"))
    assert read() == SystemdState(state="degraded", failed=("exim4.service", "bad"))


def test_services_are_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    played(monkeypatch, printing("state starting\njob 7 a.service running\n", "state running\n"))
    assert read() == SystemdState(state="running")


def test_a_job_that_never_ends_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    starting = "state starting\njob 7 slow.service running\njob 8 late.target waiting\nNo jobs\n"
    played(monkeypatch, printing(starting))
    found = read(settle=0.1)
    assert (found.state, found.waiting) == ("starting", ("slow.service",))
    assert "still started services" in found.note


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (printing("", status=44), "systemd does not run in this guest"),
        (printing("sh: systemctl: not found\n", status=127), "systemctl did not answer"),
    ],
)
def test_guests_without_systemd(monkeypatch: pytest.MonkeyPatch, answer: Answer, said: str) -> None:
    played(monkeypatch, answer)
    assert said in read().note
    assert read().state == ""


def test_forbidden_commands_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> str:
        raise libvirt_error(libvirt.VIR_ERR_INTERNAL_ERROR, "Command guest-exec has been disabled")

    monkeypatch.setattr(libvirt_qemu, "qemuAgentCommand", refuse)
    assert "guest-exec has been disabled" in read().note


@pytest.mark.parametrize(
    ("started", "ended"),
    [
        ({}, None),
        ([1], None),
        ("x", None),
        (None, None),
        ({"pid": "7; reboot"}, None),
        ({"pid": 10**30}, None),
        ({"pid": 7}, {}),
        ({"pid": 7}, [1]),
        ({"pid": 7}, {"exited": "perhaps"}),
        ({"pid": 7}, {"exited": True, "exitcode": "zero"}),
        ({"pid": 7}, {"exited": True, "exitcode": {}}),
        ({"pid": 7}, {"exited": True, "out-data": 7}),
        ({"pid": 7}, {"exited": True, "out-data": "x" * agent.LARGEST_ANSWER}),
    ],
)
def test_an_agent_whose_answers_make_no_sense_is_said(
    monkeypatch: pytest.MonkeyPatch, started: object, ended: object
) -> None:
    played(monkeypatch, lambda command, _: started if command == "guest-exec" else ended)
    assert "systemd's state is not known: the guest agent's answer to guest-exec" in read().note


@pytest.mark.parametrize("said", ["", "{", "[" * 100_000, "{}", "[1]", "null", '{"error": {}}'])
def test_an_agent_that_answers_with_no_answer_is_said(
    monkeypatch: pytest.MonkeyPatch, said: str
) -> None:
    monkeypatch.setattr(libvirt_qemu, "qemuAgentCommand", lambda *_: said)
    assert "the guest agent's answer to guest-exec cannot be read" in read().note


@pytest.mark.parametrize("printed", ["%%%", "eA", "\u0662"])
def test_output_that_is_no_base64_is_no_output(
    monkeypatch: pytest.MonkeyPatch, printed: str
) -> None:
    answers = {"guest-exec": {"pid": 7}, "guest-exec-status": {"exited": True, "out-data": printed}}
    played(monkeypatch, lambda command, _: answers[command])
    assert "systemd's state is not known" in read().note


def test_a_command_that_hangs_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def hang(command: str, _arguments: dict[str, Any]) -> Any:
        return {"pid": 7} if command == "guest-exec" else {"exited": False}

    played(monkeypatch, hang)
    monkeypatch.setattr(
        systemd_state, "agent", type("quick", (), {"run": lambda *a: agent.run(*a, timeout=0.05)})
    )
    assert "systemd's state is not known" in read().note


def test_the_questions_are_a_script_that_a_plain_shell_runs() -> None:
    """Without systemd (as in most containers) it says so; with it, it names a state."""
    done = subprocess.run(
        ["sh", "-c", systemd_state._ASK, "sh", str(systemd_state._NO_SYSTEMD)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    if done.returncode == 44:
        assert done.stdout == ""
    else:
        assert systemd_state.parse(done.stdout).state


def test_output_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    played(monkeypatch, printing("x" * (agent.LARGEST_OUTPUT + 10)))
    assert len(agent.run(Domain(), ["/bin/sh"]).output) == agent.LARGEST_OUTPUT
