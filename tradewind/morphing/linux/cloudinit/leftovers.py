# SPDX-License-Identifier: Apache-2.0
"""What the old platform left for cloud-init: switches, fixed sources, and its own instance."""

import re
from typing import Final

from tradewind.errors import MorphingError
from tradewind.morphing import backup, files
from tradewind.morphing.linux.boot import commandline
from tradewind.ports import GuestTree
from tradewind.shell_programs import program

_DISABLED: Final = "/etc/cloud/cloud-init.disabled"
# ds-identify's own settings: a policy that switches cloud-init off, or a source that is fixed.
_IDENTIFY: Final = "/etc/cloud/ds-identify.cfg"
_DATA: Final = "/var/lib/cloud"
# Names the class of the source: "DataSourceEc2Local: DataSourceEc2Local".
_SOURCE: Final = f"{_DATA}/instance/datasource"
_MANUAL: Final = f"{_DATA}/instance/manual-clean"
_CACHE: Final = f"{_DATA}/instance/obj.pkl"
_SCRIPTS: Final = f"{_DATA}/scripts/per-instance"
_SEEDS: Final = (f"{_DATA}/seed/nocloud", f"{_DATA}/seed/nocloud-net")

# The machine goes on being the instance that these made of it: nothing is done once more.
_STILL_THERE: Final = ("DataSourceNoCloud", "DataSourceNone")
# cloud-init would load the old source from its cache and ask it. The rest stays where it is: what
# was done once for the old instance is never done again for it.
_FORGET: Final = ("rm", "-f", f"{_DATA}/instance", _CACHE, f"{_DATA}/data/instance-id")
_MOVE_SEED: Final = program(__file__, "move_seed.sh")

# Words of a kernel's command line that keep cloud-init from starting, or fix its source.
_SWITCHED_OFF: Final = re.compile(
    r"(?<![\w.-])(?:cloud-init=disabled|ci\.(?:ds|datasource|di\.policy)=[^\s\"']+)[ \t]*"
)


def remove(guest: GuestTree, *, retain: bool) -> tuple[str, ...]:
    """Take away what would switch cloud-init off, or have it ask the old platform; say what."""
    there = files.present(guest, _DISABLED, _IDENTIFY, _MANUAL, f"{_DATA}/instance", *_SEEDS)
    gone: list[str] = [path for path in (_DISABLED, _IDENTIFY) if path in there]
    for path in gone:
        backup.set_aside(guest, path)
    source = files.read(guest, _SOURCE).get(_SOURCE, "").partition(":")[0].strip()
    ours = source.startswith(_STILL_THERE) and retain
    if f"{_DATA}/instance" in there and not ours:
        guest.run(_FORGET)
        gone.append(f"the instance of {source or 'another platform'}")
    elif _MANUAL in there:
        guest.remove(_MANUAL)
        gone.append(_MANUAL)
    if source and not source.startswith("DataSourceNoCloud"):
        gone += [_set_seed_aside(guest, seed) for seed in _SEEDS if seed in there]
    return tuple(gone)


def switch_on(guest: GuestTree) -> tuple[str, ...]:
    """Take such words out of every kernel's command line; name the files. MorphingError: stayed."""
    changed: list[str] = []
    for path, text in files.read(guest, *commandline.EFFECTIVE, *commandline.LASTING).items():
        new = commandline.changed_everywhere(path, text, _without)
        if new != text:
            backup.rewrite(guest, path, new)
            changed.append(path)
        if any(_SWITCHED_OFF.search(line) for line in commandline.lines(path, new)):
            raise MorphingError(
                f"{path} still keeps cloud-init from starting",
                "take cloud-init=disabled and ci.ds= out of it on the source",
            )
    return tuple(changed)


def _without(line: str) -> str:
    return _SWITCHED_OFF.sub("", line).rstrip(" ") if _SWITCHED_OFF.search(line) else line


def scripts(guest: GuestTree) -> tuple[str, ...]:
    """Name the guest's own scripts that run once for each instance."""
    return tuple(f"{_SCRIPTS}/{name}" for name in guest.list(_SCRIPTS))


def _set_seed_aside(guest: GuestTree, seed: str) -> str:
    guest.run(["sh", "-c", _MOVE_SEED, "sh", seed, backup.FOLDER + seed])
    return seed
