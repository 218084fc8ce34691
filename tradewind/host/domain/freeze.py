# SPDX-License-Identifier: Apache-2.0
"""Freeze a guest's file systems for a moment, and see to it that they are thawed.

::

    mark written ──▶ frozen ──▶ the moment ──▶ thaw confirmed ──▶ mark removed

The mark is in the running domain's metadata. A run that was killed in between leaves it there, and
so does a thaw that the agent does not confirm; the next run and the sweep then thaw. What bears no
mark of ours was frozen by somebody else, and is never thawed.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

import libvirt

from tradewind.domainxml import freezes
from tradewind.errors import HypervisorError, LateError
from tradewind.host.domain import agent, domains
from tradewind.plain_text import plain
from tradewind.waiting import run_interruptibly, wait_for

FROZEN: Final = "guest file systems frozen by the guest agent"
CRASH_CONSISTENT: Final = (
    "one point in time of all disks (as after a power cut: no guest agent answered)"
)
NOT_FROZEN: Final = (
    "one point in time of all disks (as after a power cut: the guest was not frozen, see the notes)"
)

# Seconds until a thaw that is not confirmed is left to whoever comes next. A freeze that was
# interrupted holds libvirt's agent job for as long as it takes.
THAW_PATIENCE: Final = 25
_LEFTOVER_PATIENCE: Final = 10


@dataclass(slots=True)
class FreezeOutcome:
    """How a point in time came about; `is_thaw_due` while no agent has confirmed the thaw."""

    machine: str
    consistency: str = CRASH_CONSISTENT
    is_thaw_due: bool = False
    frozen: int = 0
    said: list[str] = field(default_factory=list)

    @property
    def notes(self) -> tuple[str, ...]:
        """Return what a person has to know of it, as things are now."""
        return (*self.said, *([still_frozen(self.machine)] if self.is_thaw_due else ()))

    def note(self, sentence: str) -> None:
        """Keep a sentence; the point in time is then as after a power cut."""
        self.consistency = NOT_FROZEN
        self.said.append(sentence)


def still_frozen(machine: str) -> str:
    """Say that a guest may stand still, and what helps."""
    return (
        f"the file systems of {machine} MAY STILL BE FROZEN: its guest agent has not confirmed"
        f" that they are thawed. Run `virsh domfsthaw {machine}` on its host; in the guest,"
        " `fsfreeze --unfreeze` each file system, or restart it. `tradewind sweep` and the next"
        " transfer try again"
    )


@contextlib.contextmanager
def frozen(domain: libvirt.virDomain, run: str, timeout: int) -> Iterator[FreezeOutcome]:
    """Freeze the guest's file systems where its agent can within `timeout` seconds, and thaw them.

    Neither a freeze nor a thaw that fails is an error: the notes say so.
    """
    moment = FreezeOutcome(domain.name())
    if not _may_freeze(domain, moment) or not _mark(domain, run, moment):
        yield moment
        return
    try:
        _freeze(domain, timeout, moment)
        yield moment
    finally:
        _give_back(domain, moment)


def marked_by(domain: libvirt.virDomain) -> str | None:
    """Name the run that froze a domain's guest and has not confirmed its thaw; None for nobody."""
    if not domain.isActive():
        return None
    try:
        xml = domains.read_metadata(domain, freezes.NAMESPACE, libvirt.VIR_DOMAIN_AFFECT_LIVE)
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_OPERATION_INVALID:
            return None  # it has just ended
        raise
    return None if xml is None else freezes.run_of(xml)


def thaw_leftover(domain: libvirt.virDomain) -> None:
    """Thaw what a run of ours froze and did not thaw; nothing happens when there is no mark.

    HypervisorError: the agent does not confirm that the guest is thawed.
    """
    if marked_by(domain) is None:
        return
    if _status(domain) != "thawed" and _thaw(domain, _LEFTOVER_PATIENCE) is None:
        raise HypervisorError(still_frozen(domain.name()))
    _remove_mark(domain)


def _may_freeze(domain: libvirt.virDomain, moment: FreezeOutcome) -> bool:
    try:
        thaw_leftover(domain)
    except HypervisorError as error:
        moment.note(error.message)
        return False
    status = _status(domain)
    if status == "frozen":
        moment.note("the guest's file systems were frozen already, by another program: left so")
    return status == "thawed"


def _mark(domain: libvirt.virDomain, run: str, moment: FreezeOutcome) -> bool:
    """Write the mark: without it nobody would know that the guest has to be thawed."""
    try:
        _set_mark(domain, freezes.mark_xml(run))
    except libvirt.libvirtError as error:
        moment.note(
            f"the guest was not frozen: its domain takes no mark ({plain(str(error), 200)})"
        )
        return False
    return True


def _freeze(domain: libvirt.virDomain, timeout: int, moment: FreezeOutcome) -> None:
    try:
        count = run_interruptibly(
            lambda: agent.ask(domain, "guest-fsfreeze-freeze", timeout=timeout)
        )
    except HypervisorError as error:
        moment.note(
            f"the guest was not frozen within {timeout} s (freeze_timeout), or refused it:"
            f" {plain(error.message, 300)}"
        )
        return
    moment.frozen = count if isinstance(count, int) else 0
    moment.consistency = FROZEN


def _give_back(domain: libvirt.virDomain, moment: FreezeOutcome) -> None:
    thawed = _thaw(domain, THAW_PATIENCE)
    if thawed is None:
        moment.is_thaw_due = True
        return
    _remove_mark(domain)
    if moment.frozen and not thawed:
        # Windows thaws by itself after 10 s (VSS), and a person may.
        moment.note("the guest's file systems were thawed by somebody else before the snapshot")


def _thaw(domain: libvirt.virDomain, patience: float) -> int | None:
    """Thaw, and say how many file systems that were; None when the agent does not confirm it."""
    with contextlib.suppress(LateError):
        return wait_for(
            lambda: run_interruptibly(lambda: _thawed(domain), patience),
            f"the guest of {domain.name()} is thawed",
            patience,
        )
    return None


def _thawed(domain: libvirt.virDomain) -> int | None:
    count = agent.heard(domain, "guest-fsfreeze-thaw", int)
    if count is None and agent.heard(domain, "guest-fsfreeze-status", str) == "thawed":
        return 0
    return count


def _status(domain: libvirt.virDomain) -> str | None:
    return run_interruptibly(lambda: agent.heard(domain, "guest-fsfreeze-status", str))


def _remove_mark(domain: libvirt.virDomain) -> None:
    with contextlib.suppress(libvirt.libvirtError):  # one that stays leads to a thaw too many
        _set_mark(domain, None)


def _set_mark(domain: libvirt.virDomain, xml: str | None) -> None:
    domain.setMetadata(
        libvirt.VIR_DOMAIN_METADATA_ELEMENT,
        xml,
        freezes.PREFIX,
        freezes.NAMESPACE,
        libvirt.VIR_DOMAIN_AFFECT_LIVE,
    )
