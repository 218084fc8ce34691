# SPDX-License-Identifier: Apache-2.0
"""Who uses a volume: the one question before anything is done to it, asked of its host.

A machine uses its disks, its UEFI variables, what its snapshots and its saved state name, and all
that lies below any of these; a volume uses the one below it. Running or not makes no difference. A
running domain's XML has its backing chains; those of one that is shut off are followed from volume
to volume, through all running pools, and through a folder that is no pool where libvirt shows it.

What cannot be seen over libvirt: that one file is reached by two paths (a symbolic link). A file
of the same name counts as the same one where the name bears the id of a run or of a transfer.
"""

import contextlib
import hashlib
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from posixpath import basename, dirname, join
from typing import Final

import libvirt

from tradewind.domainxml import labels
from tradewind.domainxml import pool as pool_xml
from tradewind.domainxml.locations import layered_files, locations, normal_path
from tradewind.domainxml.volume import VolumeFacts
from tradewind.errors import BusyError, HypervisorError
from tradewind.host.storage import pools
from tradewind.model.run import LabelState

# The id of a transfer (8 digits) or of a run (12) in a name that we gave.
_ID: Final = re.compile(r"-[0-9a-f]{8}(?:[0-9a-f]{4})?-")
_RUN: Final = re.compile(r"tradewind-([0-9a-f]{12})-")
ANY_RUN: Final = "any"
ATTEMPTS: Final = 3
_REMEDY: Final = "give that machine disks of its own, or undefine it; then try again"


@dataclass(frozen=True, slots=True)
class VolumeUser:
    """A domain, and all that it names; `own_of` is the run of a temporary one of ours.

    What lies below `unfollowed` is not in its XML: it is shut off.
    """

    name: str
    names: frozenset[str]
    unfollowed: frozenset[str]
    own_of: str | None


@dataclass(frozen=True, slots=True)
class VolumeUsers:
    """Who has what on a host, as it said at one moment.

    `paths` gives the path of pool/volume; `below` what lies below a path.
    """

    host: str
    users: tuple[VolumeUser, ...]
    paths: dict[str, str]
    below: dict[str, str]

    def add(self, pool: str, facts: VolumeFacts) -> None:
        """Take note of a volume."""
        path = normal_path(facts.path)
        self.paths[f"{pool}/{facts.name}"] = path
        if facts.backing:
            self.below[path] = _absolute(facts.backing, path)

    def chain(self, place: str) -> Iterator[str]:
        """Name what a disk consists of, from its top downwards."""
        seen: set[str] = set()
        path: str | None = self.paths.get(place, place)
        while path and path not in seen:
            seen.add(path)
            yield path
            path = self.below.get(path)

    def reach(self, user: VolumeUser) -> frozenset[str]:
        """Name all that a domain needs: what it names, and what lies below."""
        return frozenset(path for name in user.names for path in self.chain(name))

    def of(self, path: str, own: str = "", lent_to: str = "") -> Iterator[str]:
        """Return who uses a volume, but for what belongs to the run `own`, or to any run."""
        for user in self.users:
            ours = _is_own(user.own_of, own) or user.name == lent_to
            if not ours and _holds(self.reach(user), path):
                yield f"{basename(path)} by machine {user.name}"
        for above, below in self.below.items():
            ours = _is_own(run_of(basename(above)), own)
            if not ours and normal_path(above) != normal_path(path) and _same(below, path):
                yield f"{basename(path)} by volume {basename(above)}, which lies on top of it"


def require_unused(
    connection: libvirt.virConnect,
    volumes: Collection[libvirt.virStorageVol],
    *,
    own: str = "",
    lent_to: str = "",
) -> None:
    """Raise BusyError when something uses one of the volumes; all users are named.

    Only what belongs to the run `own` may: a temporary domain that bears its label, and volumes
    that are called after it; and the domain that the caller has lent them to.
    """
    if not volumes:
        return
    uses = survey(connection)
    found = sorted(
        {who for volume in volumes for who in uses.of(normal_path(volume.path()), own, lent_to)}
    )
    if found:
        raise BusyError(f"volumes are in use on {uses.host}: {', '.join(found)}", _REMEDY)


def survey(connection: libvirt.virConnect) -> VolumeUsers:
    """Ask a host who has what at this moment."""
    uses = VolumeUsers(connection.getHostname(), tuple(_users(connection)), {}, {})
    for pool in pools.running(connection):
        for facts in pools.described(pools.volumes_now(pool)):
            uses.add(pool.name(), facts)
    _look_outside(connection, uses)
    return uses


def run_of(volume: str) -> str:
    """Name the run that a volume is called after; empty when it is none of a run's."""
    found = _RUN.match(volume)
    return found.group(1) if found else ""


def _users(connection: libvirt.virConnect) -> Iterator[VolumeUser]:
    """Look at all domains; each question is one for all of them, as far as libvirt lets us."""
    running = _named(connection, libvirt.VIR_CONNECT_LIST_DOMAINS_ACTIVE)
    defined = _named(connection, libvirt.VIR_CONNECT_LIST_DOMAINS_PERSISTENT)
    with_snapshots = _named(connection, libvirt.VIR_CONNECT_LIST_DOMAINS_HAS_SNAPSHOT)
    saved = _named(connection, libvirt.VIR_CONNECT_LIST_DOMAINS_MANAGEDSAVE)
    for domain in connection.listAllDomains():
        try:
            documents = list(_documents(domain, running & defined, with_snapshots, saved))
        except libvirt.libvirtError as error:
            if error.get_error_code() != libvirt.VIR_ERR_NO_DOMAIN:
                raise
            continue  # it ended at this moment, as another run's worker does
        shut_off = domain.name() not in running
        yield VolumeUser(
            name=domain.name(),
            names=frozenset(place for xml in documents for place in locations(xml)),
            unfollowed=layered_files(documents[0]) if shut_off else frozenset(),
            own_of=_run_of(documents[0]),
        )


def _documents(
    domain: libvirt.virDomain, changing: set[str], with_snapshots: set[str], saved: set[str]
) -> Iterator[str]:
    """Give all that a domain is, will be at its next start, or may be brought back to."""
    name = domain.name()
    yield domain.XMLDesc()
    if name in changing:
        yield domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)
    if name in with_snapshots:
        yield from (each.getXMLDesc() for each in domain.listAllSnapshots())
    if name in saved:
        yield domain.managedSaveGetXMLDesc()


def _named(connection: libvirt.virConnect, flag: int) -> set[str]:
    return {domain.name() for domain in connection.listAllDomains(flag)}


def _run_of(xml: str) -> str | None:
    """Name the run that a temporary domain belongs to; a label that is not ours is nobody's."""
    with contextlib.suppress(HypervisorError):
        label = labels.from_domain(xml)
        if label is not None and label.state is LabelState.TEMPORARY:
            return label.run
    return None


def _is_own(run: str | None, own: str) -> bool:
    return bool(run) and own in (run, ANY_RUN)


def _holds(reach: Collection[str], path: str) -> bool:
    return path in reach or any(_same(each, path) for each in reach)


def _same(one: str, other: str) -> bool:
    name = basename(other)
    return normal_path(one) == other or (basename(one) == name and _ID.search(name) is not None)


def _look_outside(connection: libvirt.virConnect, uses: VolumeUsers) -> None:
    """Follow the chains of shut-off machines through folders that are no pools.

    Each is looked at through a transient pool, whose end touches no file. What libvirt does not
    show, such as a folder that is gone, has nothing below it.
    """
    looked: set[str] = set()
    while folders := set(_unknown_folders(uses)) - looked:
        for folder in folders:
            with contextlib.suppress(libvirt.libvirtError):
                _look_into(connection, folder, uses)
        looked |= folders


def _unknown_folders(uses: VolumeUsers) -> Iterator[str]:
    known = set(uses.paths.values())
    for top in (top for user in uses.users for top in user.unfollowed):
        for path in uses.chain(top):
            if path not in known and not path.startswith("/dev/"):
                yield dirname(path)


def _look_into(connection: libvirt.virConnect, folder: str, uses: VolumeUsers) -> None:
    """Look at the files of a folder that is no pool; one that libvirt does not show has none."""
    name = f"{pools.TEMPORARY}{hashlib.blake2s(folder.encode(), digest_size=6).hexdigest()}"
    for _ in range(ATTEMPTS):
        # Another run may look into it at this moment, and then end the pool that both use.
        with (
            contextlib.suppress(libvirt.libvirtError),
            _pool(connection, folder, name) as pool,
        ):
            for facts in pools.described(pool.listAllVolumes()):
                uses.add(name, facts)
            return


@contextlib.contextmanager
def _pool(
    connection: libvirt.virConnect, folder: str, name: str
) -> Iterator[libvirt.virStoragePool]:
    there = [pool for pool in connection.listAllStoragePools() if pool.name() == name]
    if there:
        yield there[0]
        return
    pool = connection.storagePoolCreateXML(pool_xml.folder_pool(name, folder), 0)
    try:
        yield pool
    finally:
        with contextlib.suppress(libvirt.libvirtError):
            pool.destroy()


def _absolute(backing: str, above: str) -> str:
    return normal_path(backing if backing.startswith("/") else join(dirname(above), backing))
