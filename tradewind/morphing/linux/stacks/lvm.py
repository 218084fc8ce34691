# SPDX-License-Identifier: Apache-2.0
"""LVM: volume groups on the attached disks, under their own names, and no others.

LVM runs with a configuration of its own: only the given devices exist for it, whatever the worker's
lvm.conf, devices file or the guest say. Nothing of a group's metadata is written. Device mapper's
names are the kernel's and known only once: where a group of the worker has the same name, its
mappings (not the group) step aside for the life of the worker.
"""

import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from pydantic import BaseModel, ConfigDict

from tradewind.model.guest import FileSystem, Layer, LayerKind
from tradewind.plain_text import printable
from tradewind.ports import Remote
from tradewind.shell_programs import program

# Groups may have been locked to one host by its system ID; see lvmsystemid(7). It becomes part of
# a configuration file: only what LVM itself allows there.
_SYSTEM_ID: Final = re.compile(r"[A-Za-z0-9_.+-]{1,127}")

_LIST_GROUPS: Final = program(__file__, "lvm_configure.sh", "lvm_groups.sh")
_ACTIVATE: Final = program(__file__, "lvm_configure.sh", "lvm_activate.sh")


class _LvmGroup(BaseModel):
    model_config = ConfigDict(extra="ignore")

    vg_uuid: str
    vg_name: str
    vg_systemid: str = ""
    vg_missing_pv_count: int = 0
    vg_exported: str = ""


class _LogicalVolume(BaseModel):
    model_config = ConfigDict(extra="ignore")

    vg_uuid: str
    vg_name: str
    lv_uuid: str
    lv_name: str
    origin: str = ""
    lv_kernel_major: int = -1
    lv_kernel_minor: int = -1


@dataclass(frozen=True, slots=True)
class Activated:
    """`layers` by device; `snapshots` are devices that are copies of another volume."""

    layers: Mapping[str, Layer]
    snapshots: frozenset[str]
    refused: Mapping[str, str]
    notes: tuple[str, ...]


def activate(
    remote: Remote, members: Sequence[FileSystem], active: Collection[str] = ()
) -> Activated:
    """Activate every volume of the groups on these physical volumes.

    `active` are the UUIDs of groups that were activated from these disks before.
    """
    devices = [member.device for member in members]
    said = remote.run(["sh", "-c", _LIST_GROUPS, "sh", *devices], timeout=120, check=False)
    if said.status != 0:
        return Activated(
            {}, frozenset(), dict.fromkeys(devices, printable(said.stderr.strip())), ()
        )
    groups, rest = _groups(said.stdout)
    refusal = {
        g.vg_uuid: why
        for g in groups
        if g.vg_uuid not in active and (why := _refusal(g, groups, rest))
    }
    usable = [group for group in groups if group.vg_uuid not in refusal]
    notes = [f"volume group {printable(g.vg_name)} lacks {g.vg_missing_pv_count} physical volumes"
             for g in usable if g.vg_missing_pv_count]  # fmt: skip
    if not usable:
        why = "; ".join(refusal.values()) or "LVM finds no volume group on it"
        return Activated({}, frozenset(), dict.fromkeys(devices, why), ())
    volumes, complaints = _activated(remote, usable, devices)
    layers = {
        f"/dev/dm-{volume.lv_kernel_minor}": Layer(
            kind=LayerKind.LVM,
            name=f"{volume.vg_name}/{volume.lv_name}",
            uuid=volume.lv_uuid,
            group=volume.vg_uuid,
            device=f"/dev/dm-{volume.lv_kernel_minor}",
        )
        for volume in volumes
        if volume.lv_kernel_minor >= 0
    }
    snapshots = {f"/dev/dm-{v.lv_kernel_minor}" for v in volumes if v.origin}
    notes += [*complaints, *refusal.values()]
    return Activated(layers, frozenset(snapshots), {}, tuple(notes))


def _groups(said: str) -> tuple[list[_LvmGroup], str]:
    """Read the report, and return what was printed after it."""
    start = said.find("{")
    if start < 0:
        return [], said
    report, end = json.JSONDecoder().raw_decode(said[start:])
    rows = [row for part in report["report"] for row in part.get("vg", ())]
    return [_LvmGroup.model_validate(row) for row in rows], said[start + end :]


def _refusal(group: _LvmGroup, groups: Sequence[_LvmGroup], mapped: str) -> str:
    name = printable(group.vg_name)
    compact = group.vg_uuid.replace("-", "")
    if re.search(rf"^LVM-{re.escape(compact)}", mapped, re.MULTILINE):
        return (
            f"volume group {name} has the UUID of one that the worker itself uses "
            f"({group.vg_uuid}); use a worker image that was not made from this machine"
        )
    if sum(other.vg_name == group.vg_name for other in groups) > 1:
        return f"several volume groups are called {name}; rename one of them on the source"
    if group.vg_exported:
        return f"volume group {name} is exported; import it on the source (vgimport)"
    if group.vg_systemid and not _SYSTEM_ID.fullmatch(group.vg_systemid):
        return f"volume group {name} belongs to a host with an impossible name"
    return ""


def _activated(
    remote: Remote, groups: Sequence[_LvmGroup], devices: Sequence[str]
) -> tuple[list[_LogicalVolume], list[str]]:
    system_ids = ", ".join(sorted({f'"{g.vg_systemid}"' for g in groups if g.vg_systemid}))
    prefixes = [g.vg_name.replace("-", "--") + "-" for g in groups]
    select = " || ".join(f"vg_uuid={group.vg_uuid}" for group in groups)
    said = remote.run(
        ["sh", "-c", _ACTIVATE, "sh", select, system_ids, *prefixes, "--", *devices], timeout=300
    ).stdout
    complaints, _, report = said.partition("--\n")
    rows = [row for part in json.loads(report)["report"] for row in part.get("lv", ())]
    return [_LogicalVolume.model_validate(row) for row in rows], [
        f"LVM: {printable(line.strip())}" for line in complaints.splitlines()[:10] if line.strip()
    ]
