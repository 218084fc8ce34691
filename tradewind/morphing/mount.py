# SPDX-License-Identifier: Apache-2.0
"""Mount a guest in a worker so that its own programs can run there, and take all of it back."""

import contextlib
from collections.abc import Iterator
from typing import Final

from tradewind.errors import MorphingError, RemoteCommandError, TradewindError
from tradewind.model.guest import GuestOS, LayerKind, Mount, MountedGuest
from tradewind.morphing.confinement import confined
from tradewind.morphing.stacks import md
from tradewind.morphing.stacks.devices import FUNCTIONS
from tradewind.ports import Remote

ROOT: Final = "/mnt/tradewind"

_MARK: Final = "placed by Tradewind while the guest is adapted"
# Exit status 101 is "action forbidden" (Debian policy-rc.d): no service starts in the worker.
_POLICY: Final = f"#!/bin/sh\n# {_MARK}\nexit 101\n"

# `enter` says where a folder of the guest really is; one that leads out through a symbolic link
# would let the guest mount over the worker's own folders. Of what the guest's programs are given,
# none may be a link at all. /dev has the usual devices, those of the guest's own disks, and the
# names that udev gave them: neither the worker's disk nor its consoles.
_MOUNT: Final = (
    FUNCTIONS
    + """
set -eu
root=$1 disks=$2; shift 2
mkdir -p "$root"
enter() {
    where=$(cd "$root$1" && pwd -P)
    case "$where" in "$root"/*) ;; *) echo "$1 leads out of the guest" >&2; exit 1 ;; esac
}
own() {
    if [ -L "$root$1" ]; then echo "$1 is a symbolic link" >&2; exit 1; fi
    mkdir -p "$root$1"
    where=$root$1
}
while [ $# -gt 0 ]; do
    where=$root
    [ "$2" = / ] || enter "$2"
    if [ "$5" = check ]; then
        checked=0
        e2fsck -p "$1" >&2 || checked=$?
        [ $checked -lt 4 ] || { echo "$2: e2fsck wants a person" >&2; exit 1; }
    fi
    mount -t "$3" -o "$4" "$1" "$where"
    shift 5
done
own /proc; mount -t proc -o nosuid,noexec,nodev proc "$where"
own /sys; mount -t sysfs -o ro,nosuid,noexec,nodev sysfs "$where"
own /run; mount -t tmpfs -o mode=755,nosuid,nodev tmpfs "$where"
mkdir -p "$where/lock"
own /dev; mount -t tmpfs -o mode=755,nosuid,noexec tmpfs "$where"
names=" $(for disk in $disks; do
    disk=$(readlink -f "$disk")
    standing_on "${disk##*/}"
done | tr '\n' ' ')"
links=$(find /dev -mindepth 2 -maxdepth 3 -type l -printf '%P %l\n' |
    while read -r link target; do
        case "$names" in *" ${target##*/} "*) printf ' %s' "$link" ;; esac
    done)
cd /dev
set -f
set -- null zero full random urandom tty
[ ! -e mapper/control ] || set -- "$@" mapper/control
cp -a --parents "$@" $names $links "$where"
cd "$where"
for number in 0:stdin 1:stdout 2:stderr; do ln -s "/proc/self/fd/${number%:*}" "${number#*:}"; done
ln -s /proc/self/fd fd
ln -s pts/ptmx ptmx
mkdir pts
mkdir -m 1777 shm
mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5,nosuid,noexec devpts pts
"""
)

# Runs inside the guest. What is there, a dangling link included, is set aside and not followed.
_PLACE: Final = """
set -eu
path=$1 mode=$2 mark=$3
saved=$path.tradewind-saved
mkdir -p "$(dirname "$path")"
# What somebody made immutable becomes so again.
flags=$(lsattr -d "$path" 2>/dev/null) || flags=
case ${flags%% *} in *i*)
    chattr -i "$path"
    mkdir -p "/run/lock/immutable$(dirname "$path")"
    : >"/run/lock/immutable$path" ;;
esac
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
    [ ! -e "/run/lock/immutable$path" ] || chattr +i "$path" || status=1
done
exit $status
"""
_RESTORE: Final = """
root=$1; shift
mountpoint -q "$root" || exit 0
exec "$@"
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
    return MountedGuest(root=ROOT)


def unmount(remote: Remote, *, trim: bool = False) -> None:
    """Put the guest's own files back and unmount it; nothing happens when it is not mounted."""
    inside = ["sh", "-c", _INSIDE_RESTORE, "sh", _MARK, _RESOLV_CONF, _POLICY_FILE]
    restored = remote.run(["sh", "-c", _RESTORE, "sh", ROOT, *confined(ROOT, inside)], check=False)
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
    inside = ["sh", "-c", _PLACE, "sh", path, mode, _MARK]
    remote.run(confined(ROOT, inside), stdin=text.encode())


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
