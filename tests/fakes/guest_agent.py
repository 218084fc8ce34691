# SPDX-License-Identifier: Apache-2.0
"""A guest agent that is played: it freezes, hangs, refuses, or talks nonsense.

Protocol: https://www.qemu.org/docs/master/interop/qemu-ga-ref.html (guest-fsfreeze-*).
"""

import json
from dataclasses import dataclass, field
from typing import Any

import libvirt
import libvirt_qemu
import pytest

from tests.fakes.libvirt_fakes import libvirt_error


class HangsError(Exception):
    """The command does not answer within its time; nor does any other, until it is `released`."""


@dataclass
class FakeAgent:
    """Plays the commands of a freeze; `instead` has what else a command leads to, by its name."""

    instead: dict[str, Any] = field(default_factory=dict)
    is_frozen: bool = False
    is_hanging: bool = False
    file_systems: int = 2
    asked: list[str] = field(default_factory=list)
    timeouts: dict[str, int] = field(default_factory=dict)

    def command(self, _domain: object, request: str, timeout: int, _flags: int) -> str:
        name = json.loads(request)["execute"]
        self.asked.append(name)
        self.timeouts[name] = timeout
        played = self.instead.get(name)
        if played is HangsError:
            self.is_hanging = True
        if self.is_hanging:
            raise libvirt_error(libvirt.VIR_ERR_AGENT_UNRESPONSIVE, "命令超时")
        if isinstance(played, Exception):
            raise played
        if isinstance(played, str):
            return played
        return json.dumps({"return": self._answer(name)})

    def release(self) -> None:
        """Let the command that hangs come to its end: a freeze freezes then."""
        self.is_hanging, self.is_frozen = False, True
        del self.instead["guest-fsfreeze-freeze"]

    def _answer(self, name: str) -> Any:
        match name:
            case "guest-fsfreeze-status":
                return "frozen" if self.is_frozen else "thawed"
            case "guest-fsfreeze-freeze":
                self.is_frozen = True
                return self.file_systems
            case "guest-fsfreeze-thaw":
                was, self.is_frozen = self.is_frozen, False
                return self.file_systems if was else 0
        return {}


def play(patch: pytest.MonkeyPatch, **instead: Any) -> FakeAgent:
    """Let an agent of ours answer in every guest."""
    agent = FakeAgent({f"guest-fsfreeze-{name}": what for name, what in instead.items()})
    patch.setattr(libvirt_qemu, "qemuAgentCommand", agent.command)
    return agent
