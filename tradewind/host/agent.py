# SPDX-License-Identifier: Apache-2.0
"""Run a command in a guest through its agent.

Commands: https://www.qemu.org/docs/master/interop/qemu-ga-ref.html (guest-exec).
"""

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import libvirt
import libvirt_qemu

from tradewind.errors import HypervisorError
from tradewind.units import KiB
from tradewind.waiting import wait_for

ANSWER_TIMEOUT: Final = 10
# What a guest says is bounded here: the agent's own limit is 16 MiB.
LARGEST_OUTPUT: Final = 256 * KiB


@dataclass(frozen=True, slots=True)
class GuestCommand:
    """How a command in a guest ended, and the end of what it printed."""

    status: int
    output: str


def run(domain: libvirt.virDomain, argv: Sequence[str], *, timeout: float = 60) -> GuestCommand:
    """Run a command in the guest and wait for its end.

    HypervisorError when the agent refuses (its commands can be forbidden in the guest) or does
    not answer, LateError after `timeout` seconds.
    """
    path, *arguments = argv
    started = _ask(domain, "guest-exec", {"path": path, "arg": arguments, "capture-output": True})
    question = {"pid": started["pid"]}

    def ended() -> dict[str, Any] | None:
        answer = _ask(domain, "guest-exec-status", question)
        return answer if answer.get("exited") else None

    answer = wait_for(ended, f"{path} ends in {domain.name()}", timeout, every=0.5)
    return GuestCommand(status=int(answer.get("exitcode", -1)), output=_text(answer))


def _text(answer: dict[str, Any]) -> str:
    printed = base64.b64decode(str(answer.get("out-data", "")))
    return printed[-LARGEST_OUTPUT:].decode(errors="replace")


def _ask(domain: libvirt.virDomain, command: str, arguments: dict[str, Any]) -> dict[str, Any]:
    request = json.dumps({"execute": command, "arguments": arguments})
    try:
        answer = json.loads(libvirt_qemu.qemuAgentCommand(domain, request, ANSWER_TIMEOUT, 0))[
            "return"
        ]
    except libvirt.libvirtError as error:
        raise HypervisorError(f"the guest agent refuses {command}: {error}") from None
    if not isinstance(answer, dict):
        raise HypervisorError(f"the guest agent answers to {command} with {type(answer).__name__}")
    return answer
