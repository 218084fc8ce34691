# SPDX-License-Identifier: Apache-2.0
"""What can go wrong, as one tree.

TradewindError
├── BadInputError               refused before anything was created
│   ├── OptionError             a provider option, a request field, an imported file
│   ├── KeyMaterialError        not base64, not a private key, needs a passphrase
│   ├── HostKeyError            unknown or changed host key
│   ├── NotFoundError           no such machine, pool, network, volume, image, block
│   ├── ImageFormatError        a disk image of an unknown or unfit format
│   ├── CapacityError           a pool too small, a source disk that shrank
│   ├── BusyError               another execution owns the transfer or the volume
│   └── SeveralProblemsError    more than one of these
├── ConnectionFailedError       host unreachable or connection lost            (transient)
│   ├── UnreachableError        a host that did not answer before either: down, or misnamed
│   └── AccessRefusedError      the host does not accept the key or the account
├── HypervisorError             libvirt or QEMU refused an operation
│   └── HypervisorBusyError     the same operation may succeed a little later  (transient)
├── LateError                   a condition did not come true in time
│   └── BootFailedError         a machine did not prove that it booted
├── FencingError                two machines of one identity could run: a person has to look
├── RemoteCommandError          a command on a host or in a worker failed
├── StreamError                 bytes could not be moved                       (transient)
│   └── WriterError             the writer service refused an operation
├── IntegrityError              the destination does not hold what was sent
├── MorphingError               the guest could not be adapted
│   ├── InspectionError         no operating system found, or more than one
│   ├── PackageError            a package cannot be had; the guest is as it was
│   └── ScriptError             a script of the operator failed, or took too long
└── CancelledError              somebody asked us to stop

Every error survives pickling: Prefect stores exceptions that way.
"""

from collections.abc import Sequence
from typing import ClassVar, Self


class TradewindError(Exception):
    """The message names the thing, the hint says what to do, the evidence what showed it."""

    transient: ClassVar[bool] = False

    def __init__(self, message: str, hint: str = "", *, evidence: str = "") -> None:
        super().__init__(message, hint)
        self.message = message
        self.hint = hint
        self.evidence = evidence

    def __str__(self) -> str:
        return f"{self.message}\n  → {self.hint}" if self.hint else self.message


class BadInputError(TradewindError):
    """What was asked for cannot be done; nothing was created."""


class OptionError(BadInputError):
    """A provider option or a field of a request is unknown, malformed or not built yet."""


class KeyMaterialError(BadInputError):
    """A key is not base64, not a private key, or locked by a passphrase."""


class HostKeyError(BadInputError):
    """The host shows a key other than the pinned one, or none is pinned."""


class NotFoundError(BadInputError):
    """Something named in the request does not exist."""


class ImageFormatError(BadInputError):
    """A disk image has a format that cannot be read."""


class CapacityError(BadInputError):
    """There is not enough room, or a disk shrank."""


class BusyError(BadInputError):
    """Another execution owns what this one needs."""


class SeveralProblemsError(BadInputError):
    """Several things are wrong, and all of them are said at once."""

    def __init__(
        self,
        message: str,
        hint: str = "",
        problems: tuple[BadInputError, ...] = (),
        *,
        evidence: str = "",
    ) -> None:
        super().__init__(message, hint, evidence=evidence)
        self.args = (message, hint, problems)  # what a pickled error is made anew from
        self.problems = problems

    @classmethod
    def of(cls, problems: Sequence[BadInputError]) -> Self:
        """Put problems together."""
        return cls(
            f"{len(problems)} problems:\n" + "\n".join(f"• {problem}" for problem in problems),
            "nothing was created; mend all of them and start again",
            tuple(problems),
        )


class ConnectionFailedError(TradewindError):
    """A host cannot be reached, or a connection broke."""

    transient = True


class UnreachableError(ConnectionFailedError):
    """A host that this process has never reached does not answer: trying again says the same."""

    transient = False


class AccessRefusedError(ConnectionFailedError):
    """The host does not accept the account, the key or the operation."""

    transient = False


class HypervisorError(TradewindError):
    """Libvirt or QEMU refused an operation."""


class HypervisorBusyError(HypervisorError):
    """Libvirt is busy with another job on the same object."""

    transient = True


class LateError(TradewindError):
    """A condition did not come true in time."""


class BootFailedError(LateError):
    """A machine did not prove that it booted."""


class FencingError(TradewindError):
    """It cannot be proven that only one machine of an identity would run; nothing was touched."""


class RemoteCommandError(TradewindError):
    """A command on a host or in a worker exited with a failure."""


class StreamError(TradewindError):
    """Bytes could not be read, sent or written."""

    transient = True


class WriterError(StreamError):
    """The writer service refused an operation."""

    transient = False


class IntegrityError(TradewindError):
    """The destination does not hold what was sent."""


class MorphingError(TradewindError):
    """The guest could not be adapted."""


class InspectionError(MorphingError):
    """No operating system was found on the disks, or more than one."""


class PackageError(MorphingError):
    """A package cannot be installed or removed; the guest's packages are as they were."""


class ScriptError(MorphingError):
    """A script of the operator failed, or took too long."""


class CancelledError(TradewindError):
    """The work was stopped because somebody asked for it."""
