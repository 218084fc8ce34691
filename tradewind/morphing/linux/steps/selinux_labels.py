# SPDX-License-Identifier: Apache-2.0
"""Give files that were changed here the labels that SELinux asks for."""

import re
from collections.abc import Sequence
from typing import Final

from tradewind.errors import MorphingError
from tradewind.model.guest import GuestOS, MorphOptions, Outcome
from tradewind.morphing import files
from tradewind.ports import GuestTree
from tradewind.shell_programs import program

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

_ASK: Final = program(__file__, "selinux_ask.sh")
# Of setfiles(8) 2.x and 3.x. A label is of four fields, the last of which may have more colons.
_WANTED: Final = re.compile(
    r"^(?:Would relabel (?P<path>/.+) from \S.* to (?P<label>[\w.-]+(?::[\w.,:-]+){2,3})"
    r"|setfiles reset (?P<old_path>/.+) context .*->(?P<old_label>[\w.-]+(?::[\w.,:-]+){2,3}))$",
    re.MULTILINE,
)
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
    number = _labelled(guest, spec, tops)
    if number is None:
        return _stamped(guest, mode, reader=bool(set(_READERS) & set(there)))
    return Outcome(changed=bool(number), summary=f"SELinux is {mode}; {number} files labelled")


def _labelled(guest: GuestTree, spec: str, tops: Sequence[str]) -> int | None:
    """Set what setfiles asks for, and ask again; None when it cannot be done here."""
    wanted = _wanted(guest, spec, tops)
    if not wanted:
        return None if wanted is None else 0
    try:
        guest.label(wanted)
    except MorphingError:
        return None
    return None if _wanted(guest, spec, tops) != [] else len(wanted)


def _wanted(guest: GuestTree, spec: str, tops: Sequence[str]) -> list[tuple[str, str]] | None:
    asked = guest.run(["sh", "-c", _ASK, "sh", spec, *tops], timeout=TIMEOUT, check=False)
    if asked.status != 0:
        return None
    found = _WANTED.finditer(asked.stdout)
    return [(m["path"] or m["old_path"], m["label"] or m["old_label"]) for m in found]


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
