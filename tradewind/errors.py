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
│   └── BusyError               another execution owns the transfer or the volume
├── ConnectionFailedError       host unreachable or connection lost            (transient)
│   └── AccessRefusedError      the host does not accept the key or the account
├── HypervisorError             libvirt or QEMU refused an operation
│   └── HypervisorBusyError     the same operation may succeed a little later  (transient)
├── LateError                   a condition did not come true in time
├── RemoteCommandError          a command on a host or in a worker failed
├── StreamError                 bytes could not be moved                       (transient)
│   └── WriterError             the writer service refused an operation
├── IntegrityError              the destination does not hold what was sent
├── CheckpointLostError         ask the source again, for everything
├── MorphingError               the guest could not be adapted
│   └── InspectionError         no operating system found, or more than one
└── CancelledError              somebody asked us to stop

Every error survives pickling: Prefect stores exceptions that way.
"""

from typing import ClassVar, Self


class TradewindError(Exception):
    """The message names the thing; the hint says what to do."""

    transient: ClassVar[bool] = False

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message, hint)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n  → {self.hint}" if self.hint else self.message

    def with_hint(self, hint: str) -> Self:
        """Return the same error with another remedy."""
        return type(self)(self.message, hint)


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


class ConnectionFailedError(TradewindError):
    """A host cannot be reached, or a connection broke."""

    transient = True


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


class CheckpointLostError(TradewindError):
    """The source no longer knows what changed since the last execution."""


class MorphingError(TradewindError):
    """The guest could not be adapted."""


class InspectionError(MorphingError):
    """No operating system was found on the disks, or more than one."""


class CancelledError(TradewindError):
    """The work was stopped because somebody asked for it."""
