# SPDX-License-Identifier: Apache-2.0
"""Give files that were changed here the labels that SELinux asks for."""

import re
from typing import Final

from tradewind.errors import MorphingError
from tradewind.model.guest import GuestOS, MorphOptions, Outcome
from tradewind.morphing import files
from tradewind.ports import GuestTree

_CONFIG: Final = "/etc/selinux/config"
_STAMP: Final = "/.autorelabel"
# What looks for the stamp at the start. Without it the file would only lie there.
_READERS: Final = (
    "/usr/lib/systemd/system/selinux-autorelabel.service",
    "/lib/systemd/system/selinux-autorelabel.service",
    "/etc/rc.d/rc.sysinit",
    "/lib/systemd/system/selinux-autorelabel-mark.service",
    "/etc/init.d/selinux-autorelabel",
    "/usr/lib/dracut/modules.d/98selinux-microos/selinux-microos-relabel.sh",
)
_SETTING: Final = re.compile(r"^[ \t]*(SELINUX|SELINUXTYPE)=[ \t]*([\w-]+)", re.MULTILINE)

# Labels what was changed since the guest was mounted: that placed policy-rc.d. Of folders, only
# those without a label: setfiles takes all that is in a folder with it. Prints how many labels
# changed. Status 3: it cannot be done here, or the second look finds more to do. The worker's
# kernel stores labels without knowing them, unless it uses SELinux itself.
_LABEL: Final = """
since=/usr/sbin/policy-rc.d spec=$1; shift
command -v setfiles >/dev/null && [ -f "$since" ] && [ -f "$spec" ] || exit 3
list=/run/tradewind-relabel
unlabelled='[ "$(stat -c %C "$1" 2>/dev/null)" = "?" ]'
for top; do
    find "$top" -xdev -cnewer "$since" ! -path "$since" \
        \\( ! -type d -o -exec sh -c "$unlabelled" sh {} \\; \\) -print0
done >$list
[ -s $list ] || { echo 0; exit; }
setfiles -F -v -0 -f $list "$spec" >$list.done 2>/dev/null || exit 3
! setfiles -n -F -v -0 -f $list "$spec" 2>/dev/null | grep -q elabel || exit 3
grep -c elabel $list.done
rm -f $list $list.done
"""
TIMEOUT: Final = 1800


def applies_to(os: GuestOS, options: MorphOptions) -> bool:
    """Any family may use it; Red Hat's does unless it is switched off."""
    return True


def apply(guest: GuestTree, os: GuestOS, options: MorphOptions) -> Outcome:
    """Label what changed and look again; where that fails, have all relabelled at the start.

    The second costs one more start of the machine.
    """
    settings = dict(_SETTING.findall(files.read(guest, _CONFIG).get(_CONFIG, "")))
    mode = settings.get("SELINUX", "disabled")
    spec = f"/etc/selinux/{settings.get('SELINUXTYPE', 'targeted')}/contexts/files/file_contexts"
    there = files.present(guest, _STAMP, spec, *_READERS)
    if mode == "disabled" or spec not in there:
        return Outcome(changed=False, summary="SELinux is not in use")
    if _STAMP in there:
        return Outcome(changed=False, summary=f"SELinux is {mode}, and relabels at the first start")
    tops = [mount.path for mount in os.mounts if mount.fstype != "vfat"]
    labelled = guest.run(["sh", "-c", _LABEL, "sh", spec, *tops], timeout=TIMEOUT, check=False)
    if labelled.stdout.strip().isdecimal():
        number = int(labelled.stdout)
        return Outcome(changed=bool(number), summary=f"SELinux is {mode}; {number} files labelled")
    return _stamped(guest, mode, reader=bool(set(_READERS) & set(there)))


def _stamped(guest: GuestTree, mode: str, *, reader: bool) -> Outcome:
    if not reader:
        return Outcome(
            changed=False,
            done=False,
            summary=f"SELinux is {mode}, and nothing in the guest relabels at the start",
            remedy="run `restorecon -RF /` in the machine; services may be refused until then",
        )
    # An empty stamp resets only the type; "-F" resets the whole context.
    guest.write_text(_STAMP, "-F\n")
    if guest.read_text(_STAMP) != "-F\n":
        raise MorphingError(f"{_STAMP} does not have what was written into it")
    return Outcome(changed=True, summary=f"SELinux is {mode}; it relabels at the first start")
