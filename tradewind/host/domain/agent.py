# SPDX-License-Identifier: Apache-2.0
"""Ask a guest's agent, and run commands through it. What it answers is the guest's, and hostile.

Commands: https://www.qemu.org/docs/master/interop/qemu-ga-ref.html (guest-exec).
"""

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final, TypeVar

import libvirt
import libvirt_qemu
from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from tradewind.errors import HypervisorError
from tradewind.model.record import faults
from tradewind.plain_text import plain
from tradewind.units import KiB, MiB
from tradewind.waiting import wait_for

ANSWER_TIMEOUT: Final = 10
# How long somebody waits who can do without the answer.
PATIENCE: Final = 5
# What a guest says is bounded here: the agent's own limit is 16 MiB, libvirt's for a text 4 MiB.
LARGEST_OUTPUT: Final = 256 * KiB
MOST_ANSWERS: Final = 1000
LARGEST_ANSWER: Final = 4 * MiB

_Number = Annotated[int, Field(strict=True, ge=-(2**31), lt=2**32)]
T = TypeVar("T")


class _ExecStarted(BaseModel):
    """What guest-exec returns."""

    pid: _Number


class _ExecStatus(BaseModel):
    """What guest-exec-status returns; `printed` is base64."""

    exited: bool
    status: _Number = Field(default=-1, alias="exitcode")
    printed: str = Field(default="", alias="out-data")


_STARTED: Final = TypeAdapter(_ExecStarted)
_STATUS: Final = TypeAdapter(_ExecStatus)


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
    order = {"path": path, "arg": arguments, "capture-output": True}
    question = _ask(domain, "guest-exec", order, _STARTED).model_dump()

    def ended() -> _ExecStatus | None:
        answer = _ask(domain, "guest-exec-status", question, _STATUS)
        return answer if answer.exited else None

    answer = wait_for(ended, f"{path} ends in {domain.name()}", timeout, every=0.5)
    return GuestCommand(status=answer.status, output=_text(answer))


def read_answer(text: str, limit: int = LARGEST_ANSWER) -> object:
    """Take out what an agent's answer returns; ValueError when it is no answer, or too long."""
    if len(text) > limit:
        raise ValueError(f"more than {limit} characters")
    try:
        answer = json.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not isinstance(answer, dict) or "return" not in answer:
        raise ValueError("it returns nothing")
    return answer["return"]


def _text(answer: _ExecStatus) -> str:
    try:
        printed = base64.b64decode(answer.printed)
    except ValueError:
        return "(what it printed cannot be read)"
    return printed[-LARGEST_OUTPUT:].decode(errors="replace")


def ask(
    domain: libvirt.virDomain,
    command: str,
    arguments: Mapping[str, Any] | None = None,
    *,
    timeout: int = ANSWER_TIMEOUT,
) -> object:
    """Return what the agent answers, of whatever shape.

    HypervisorError when it refuses, does not answer within `timeout` seconds, or answers with
    something that is no answer.
    """
    request = {"execute": command} | ({"arguments": arguments} if arguments else {})
    try:
        said = libvirt_qemu.qemuAgentCommand(domain, json.dumps(request), timeout, 0)
    except libvirt.libvirtError as error:
        raise HypervisorError(
            f"the guest agent refuses {command}: {plain(str(error)[:KiB])}"
        ) from None
    try:
        return read_answer(said)
    except ValueError as error:
        raise _unreadable(command, str(error)) from None


def heard(
    domain: libvirt.virDomain, command: str, kind: type[T], timeout: int = PATIENCE
) -> T | None:
    """Return what the agent answers; None when it does not, or with something of another kind."""
    try:
        answer = ask(domain, command, timeout=timeout)
    except HypervisorError:
        return None
    return answer if isinstance(answer, kind) else None


def heard_list(domain: libvirt.virDomain, command: str) -> list[dict[str, Any]]:
    """Return the objects that the agent answers, as many as anybody needs; or none."""
    listed = (heard(domain, command, list) or [])[:MOST_ANSWERS]
    return [each for each in listed if isinstance(each, dict)]


def _ask(
    domain: libvirt.virDomain, command: str, arguments: dict[str, Any], shape: TypeAdapter[T]
) -> T:
    try:
        return shape.validate_python(ask(domain, command, arguments))
    except ValidationError as error:
        raise _unreadable(command, faults(error)) from None


def _unreadable(command: str, why: str) -> HypervisorError:
    return HypervisorError(f"the guest agent's answer to {command} cannot be read: {plain(why)}")
