# SPDX-License-Identifier: Apache-2.0
"""Mount a guest in a worker so that its own programs can run there, and take all of it back."""

import contextlib
from collections.abc import Iterator
from typing import Final

from tradewind.errors import MorphingError, RemoteCommandError, TradewindError
from tradewind.model.guest import GuestOS, Mount, MountedGuest
from tradewind.ports import Remote

ROOT: Final = "/mnt/tradewind"

_MARK: Final = "placed by Tradewind while the guest is adapted"
# Exit status 101 is "action forbidden" (Debian policy-rc.d): no service starts in the worker.
_POLICY: Final = f"#!/bin/sh\n# {_MARK}\nexit 101\n"

# `enter` says where a folder of the guest really is; one that leads out through a symbolic link
# would let the guest mount over the worker's own folders.
_MOUNT: Final = """
set -eu
root=$1; shift
mkdir -p "$root"
enter() {
    where=$(cd "$root$1" && pwd -P)
    case "$where" in "$root"/*) ;; *) echo "$1 leads out of the guest" >&2; exit 1 ;; esac
}
while [ $# -gt 0 ]; do
    where=$root
    [ "$2" = / ] || enter "$2"
    mount -t "$3" -o "$4" "$1" "$where"
    shift 4
done
enter /proc; mount -t proc -o nosuid,noexec,nodev proc "$where"
enter /sys; mount -t sysfs -o ro,nosuid,noexec,nodev sysfs "$where"
enter /dev; mount --bind /dev "$where"
# Without this, what is mounted below it would appear in the worker's own /dev too.
mount --make-private "$where"
enter /dev/pts; mount --bind /dev/pts "$where"
# An empty /run: the worker's own would lead the guest's programs to the worker's systemd.
enter /run; mount -t tmpfs -o mode=755,nosuid,nodev tmpfs "$where"
mkdir -p "$where/lock"
"""

# Runs inside the guest. What is there, a dangling link included, is set aside and not followed.
_PLACE: Final = """
set -eu
path=$1 mode=$2 mark=$3
saved=$path.tradewind-saved
mkdir -p "$(dirname "$path")"
if [ -e "$saved" ] || [ -L "$saved" ] || grep -qsF "$mark" "$path"; then
    rm -f "$path"
elif [ -e "$path" ] || [ -L "$path" ]; then
    mv "$path" "$saved"
fi
cat >"$path"
chmod "$mode" "$path"
"""
_INSIDE_RESTORE: Final = """
mark=$1; shift
status=0
for path; do
    saved=$path.tradewind-saved
    if [ -e "$saved" ] || [ -L "$saved" ]; then
        rm -f "$path" && mv "$saved" "$path" || status=1
    elif grep -qsF "$mark" "$path"; then
        rm -f "$path" || status=1
    fi
done
exit $status
"""
_RESTORE: Final = """
root=$1 inside=$2; shift 2
mountpoint -q "$root" || exit 0
exec chroot "$root" sh -c "$inside" sh "$@"
"""
# Programs that outlived a time limit hold the mounts: whatever has its root in the guest ends.
_UNMOUNT: Final = """
root=$1 trim=$2
mountpoint -q "$root" || { rmdir "$root" 2>/dev/null; exit 0; }
[ -z "$trim" ] || findmnt -rnR -o TARGET -t ext4,xfs,btrfs "$root" | xargs -rn1 fstrim -v
sync
tries=0
while mountpoint -q "$root"; do
    said=$(umount -R "$root" 2>&1) && continue
    find /proc/[0-9]*/root -maxdepth 0 -lname "$root*" 2>/dev/null |
        while IFS=/ read -r _ _ process _; do kill -9 "$process" 2>/dev/null; done
    tries=$((tries + 1))
    [ $tries -lt 10 ] || { echo "$said" >&2; exit 1; }
    sleep 0.5
done
! grep -qF " $root" /proc/self/mountinfo && rmdir "$root"
"""

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
    arguments = [word for m in os.mounts for word in (m.device, m.path, m.fstype, _options(m))]
    try:
        remote.run(["sh", "-c", _MOUNT, "sh", ROOT, *arguments], timeout=300)
        own_resolver = remote.run(["cat", _RESOLV_CONF], check=False).stdout
        _place(remote, _RESOLV_CONF, "644", f"# {_MARK}\n{own_resolver}")
        _place(remote, _POLICY_FILE, "755", _POLICY)
    except RemoteCommandError as error:
        raise MorphingError(
            f"{os.pretty_name} cannot be mounted: {error.message}",
            "a file system that is damaged has to be repaired on the source first",
        ) from None
    return MountedGuest(root=ROOT)


def unmount(remote: Remote, *, trim: bool = False) -> None:
    """Put the guest's own files back and unmount it; nothing happens when it is not mounted."""
    restored = remote.run(
        ["sh", "-c", _RESTORE, "sh", ROOT, _INSIDE_RESTORE, _MARK, _RESOLV_CONF, _POLICY_FILE],
        check=False,
    )
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


def _place(remote: Remote, path: str, mode: str, text: str) -> None:
    remote.run(["chroot", ROOT, "sh", "-c", _PLACE, "sh", path, mode, _MARK], stdin=text.encode())


def _options(mount: Mount) -> str:
    # The guest's own devices and set-user-ID files have no business in the worker; an XFS of the
    # same image as the worker's own would be refused for its UUID.
    own = ["rw", "nodev", "nosuid"] + (["nouuid"] if mount.fstype == "xfs" else [])
    return ",".join([*own, mount.options] if mount.options else own)
