# SPDX-License-Identifier: Apache-2.0
"""Mount a guest in a worker so that its own programs can run there, and take all of it back."""

import contextlib
from collections.abc import Iterator
from typing import Final

from tradewind.errors import LateError, MorphingError, RemoteCommandError, TradewindError
from tradewind.model.guest import GuestOS, LayerKind, Mount, MountedGuest
from tradewind.morphing.confinement import on_files, run_inside
from tradewind.morphing.linux.stacks import md
from tradewind.ports import Completed, Remote
from tradewind.shell_programs import program

ROOT: Final = "/mnt/tradewind"

_MARK: Final = "placed by Tradewind while the guest is adapted"
# Exit status 101 is "action forbidden" (Debian policy-rc.d): no service starts in the worker.
_POLICY: Final = f"#!/bin/sh\n# {_MARK}\nexit 101\n"

_MOUNT: Final = program(__file__, "linux/stacks/devices.sh", "mount.sh")
_UNMOUNT: Final = program(__file__, "unmount.sh")

_RESOLV_CONF: Final = "/etc/resolv.conf"
_POLICY_FILE: Final = "/usr/sbin/policy-rc.d"


@contextlib.contextmanager
def mounted(remote: Remote, os: GuestOS, *, trim: bool = False) -> Iterator[MountedGuest]:
    """Lend the guest's root, writable, as the guest itself would mount it.

    Afterwards nothing of it is mounted and its own files are back in place, whatever happened
    meanwhile; with `trim`, free blocks are given back first. A failure to unmount is an error,
    unless another one is already on its way.
    """
    try:
        guest = mount(remote, os)
        yield guest
    except BaseException:
        with contextlib.suppress(TradewindError):
            unmount(remote)
        raise
    unmount(remote, trim=trim)


def mount(remote: Remote, os: GuestOS) -> MountedGuest:
    """Mount the guest; MorphingError says what could not be mounted."""
    arguments = [word for m in os.mounts for word in _arguments(m)]
    disks = " ".join(disk.device for disk in os.disks)
    try:
        _make_writable(remote, os)
        remote.run(["sh", "-c", _MOUNT, "sh", ROOT, disks, *arguments], timeout=600)
        own_resolver = remote.run(["cat", _RESOLV_CONF], check=False).stdout
        _place(remote, _RESOLV_CONF, "644", f"# {_MARK}\n{own_resolver}")
        _place(remote, _POLICY_FILE, "755", _POLICY)
    except RemoteCommandError as error:
        raise MorphingError(
            f"{os.pretty_name} cannot be mounted: {error.message}",
            "a file system that is damaged has to be repaired on the source first",
        ) from None
    except LateError:
        raise LateError(
            f"mounting {os.pretty_name} did not end in time",
            "see whether the storage of the volumes answers, and check the file systems (fsck)",
        ) from None
    return MountedGuest(root=ROOT)


def unmount(remote: Remote, *, trim: bool = False) -> None:
    """Put the guest's own files back and unmount it; nothing happens when it is not mounted."""
    if remote.run(["mountpoint", "-q", ROOT], check=False).status != 0:
        remote.run(["sh", "-c", 'rmdir "$1" 2>/dev/null || :', "sh", ROOT])
        return
    restored = _put_back(remote)
    gone = remote.run(
        ["sh", "-c", _UNMOUNT, "sh", ROOT, "yes" if trim else ""], timeout=300, check=False
    )
    if gone.status != 0:
        raise MorphingError(f"the guest cannot be unmounted: {gone.stderr.strip()}")
    if restored.status != 0:
        raise MorphingError(
            f"{_RESOLV_CONF} or {_POLICY_FILE} of the guest could not be put back: "
            + restored.stderr.strip()
        )


def _put_back(remote: Remote) -> Completed:
    """Give the guest its own files back; whatever comes of it, the rest goes on."""
    try:
        back = on_files("put-back", _MARK, _RESOLV_CONF, _POLICY_FILE)
        return run_inside(remote, ROOT, back)
    except (MorphingError, LateError) as error:
        return Completed((), 1, "", error.message)


def _place(remote: Remote, path: str, mode: str, text: str) -> None:
    """Put a file of ours where the guest may have one of its own, or a link, or a FIFO."""
    placed = run_inside(remote, ROOT, on_files("place", path, mode, _MARK), stdin=text.encode())
    if placed.status != 0:
        raise RemoteCommandError(f"{path} cannot be placed: {placed.stderr.strip()[-400:]}")


def _make_writable(remote: Remote, os: GuestOS) -> None:
    """Let arrays be written that were assembled read-only."""
    arrays = {
        layer.device
        for mount in os.mounts
        for layer in (os.layers(mount.path) if os.filesystems else ())
        if layer.kind is LayerKind.MD
    }
    if arrays:
        remote.run(["sh", "-c", md.WRITABLE, "sh", *sorted(arrays)])


def _arguments(mount: Mount) -> tuple[str, ...]:
    check = "check" if mount.check else "as-it-is"
    return mount.device, mount.path, mount.fstype, _options(mount), check


def _options(mount: Mount) -> str:
    # The guest's own devices and set-user-ID files have no business in the worker; an XFS of the
    # same image as the worker's own would be refused for its UUID.
    own = ["rw", "nodev", "nosuid"] + (["nouuid"] if mount.fstype == "xfs" else [])
    return ",".join([*own, mount.options] if mount.options else own)
