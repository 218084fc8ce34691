# SPDX-License-Identifier: Apache-2.0
"""What both hosts look like from behind, past Tradewind: to be compared before and after."""

import hashlib
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread
from typing import Final

import lab
from lab import guests, namespaces
from lab.faults import hosts
from lab.records import HOSTS, HostPlan, LabHost
from lab.resources import POOLS
from tests.live import running
from tests.live.faults import tiny

BYSTANDER: Final = "bystander"
_FOLDERS: Final = {
    "tpm": "/var/lib/libvirt/swtpm",
    "nvram": "/var/lib/libvirt/qemu/nvram",
    "sockets": "/var/tmp",
}
# Programs of a host that live as long as what they serve, and where their command says what.
_SERVING: Final = {
    "qemu-system-x86": re.compile(r"guest=([^,]*)"),
    "swtpm": re.compile(r"libvirt/swtpm/([^/]*)"),
    "dnsmasq": re.compile(r"dnsmasq/([^/]*)\.conf"),
}


@dataclass(frozen=True, slots=True)
class Host:
    """Everything that a run could leave on a host; names, sorted."""

    domains: tuple[str, ...]
    volumes: tuple[str, ...]
    networks: tuple[str, ...]
    jobs: tuple[str, ...]
    processes: tuple[str, ...]
    folders: Mapping[str, tuple[str, ...]]

    def differences(self, before: "Host", allowed: frozenset[str] = frozenset()) -> list[str]:
        """Say what there is more of, and less of; not what is allowed to come and go."""
        said: list[str] = []
        for name in ("domains", "volumes", "networks", "jobs", "processes"):
            said += _compare(name, getattr(before, name), getattr(self, name), allowed)
        for name, found in self.folders.items():
            said += _compare(name, before.folders[name], found, allowed)
        return said


def _compare(
    what: str, before: tuple[str, ...], after: tuple[str, ...], allowed: frozenset[str]
) -> Iterator[str]:
    left = [each for each in after if each not in before and each not in allowed]
    gone = [each for each in before if each not in after and each not in allowed]
    if what == "processes":
        left, gone = _surplus(after, before, allowed), _surplus(before, after, allowed)
    if left:
        yield f"{what} left: {', '.join(left)}"
    if gone:
        yield f"{what} gone: {', '.join(gone)}"


def _surplus(many: tuple[str, ...], few: tuple[str, ...], allowed: frozenset[str]) -> list[str]:
    """Name what there is more of; some programs run twice for one network."""
    more = [name for name in sorted(set(many)) if many.count(name) > few.count(name)]
    return [name for name in more if name.partition(":")[2] not in allowed]


# One shell for all of them: on a busy machine each costs as long as what it looks at.
_SCRIPT: Final = """\
echo =domains; virsh list --all --name
echo =volumes; ls {pools} 2>/dev/null | grep -v :$
echo =networks; virsh net-list --all --name
echo =jobs; for d in $(virsh list --name); do virsh domjobinfo $d | grep -q None || echo $d; done
"""


def look(host: LabHost) -> Host:
    """Look at a host."""
    pools = " ".join([*POOLS.values(), f"/var/lib/libvirt/{hosts.BOUNDED}"])
    ours = [f"echo ={name}; ls -A {path} 2>/dev/null; true" for name, path in _FOLDERS.items()]
    script = _SCRIPT.format(pools=pools) + "\n".join(ours)
    seen: dict[str, list[str]] = {}
    for word in lab.run(host, ["sh", "-c", script]).stdout.split():
        if word.startswith("="):
            seen[word[1:]] = []
        else:
            seen[[*seen][-1]].append(word)
    found = {name: tuple(sorted(words)) for name, words in seen.items()}
    return Host(
        domains=found["domains"],
        volumes=found["volumes"],
        networks=found["networks"],
        jobs=found["jobs"],
        processes=_processes(namespaces.plan_of(host)),
        folders={name: found[name] for name in _FOLDERS},
    )


def _processes(plan: HostPlan) -> tuple[str, ...]:
    """Name the programs that serve guests and networks, with what they serve."""
    found = []
    for pid in namespaces.pids(plan):
        with suppress(OSError):
            program = Path(f"/proc/{pid}/comm").read_text().strip()
            if program in _SERVING:
                line = Path(f"/proc/{pid}/cmdline").read_text()
                served = _SERVING[program].search(line)
                found.append(f"{program}:{served.group(1) if served else ''}")
    return tuple(sorted(found))


@dataclass(frozen=True, slots=True)
class Bystander:
    """A running machine and a volume of somebody else: definition, process, every byte."""

    definition: str
    process: int | None
    disks: tuple[str, ...]
    volume: str


def settle_bystander(host: LabHost) -> None:
    """Give a host a machine and a volume that nobody is asked to touch."""
    name = f"{BYSTANDER}-{host.name}"
    if name not in lab.run(host, ["virsh", "list", "--all", "--name"]).stdout.split():
        tiny.start(tiny.make(host, name))
    volume = _volume(host)
    if not volume.exists():
        volume.write_bytes(f"{name} ".encode() * 50_000)
        lab.run(host, ["virsh", "pool-refresh", hosts.BOUNDED])


def _volume(host: LabHost) -> Path:
    return hosts.bounded_file(namespaces.plan_of(host), f"{BYSTANDER}.raw")


def bystander(host: LabHost) -> Bystander:
    """Look at somebody else's."""
    plan, name = namespaces.plan_of(host), f"{BYSTANDER}-{host.name}"
    images = guests.inside(plan, POOLS["default"])
    return Bystander(
        definition=lab.run(host, ["virsh", "dumpxml", "--inactive", name]).stdout,
        process=hosts.qemu_of(plan, name),
        disks=tuple(digest(images / f"{name}-{target}.qcow2") for target in tiny.SIZES),
        volume=digest(_volume(host)),
    )


def digest(file: Path) -> str:
    """Take the digest of a file; a word when it is not there."""
    return hashlib.sha256(file.read_bytes()).hexdigest() if file.exists() else "gone"


def state(host: LabHost, machine: str) -> str:
    """Say in libvirt's words how a machine is; `absent` when there is none."""
    done = lab.run(host, ["virsh", "domstate", machine], check=False)
    return done.stdout.strip() if done.returncode == 0 else "absent"


@contextmanager
def watched_for_doubles(lent: tuple[LabHost, LabHost], names: list[str]) -> Iterator[list[str]]:
    """Watch all the time whether a machine runs on both hosts; what was seen is in the list."""
    seen: list[str] = []
    over = Event()

    def watch() -> None:
        while not over.wait(0.2):
            both = set.intersection(*(set(hosts.running(plan)) for plan in HOSTS)) & set(names)
            for name in both - {line.split()[0] for line in seen}:
                states = [state(host, name) for host in lent]
                if states == ["running", "running"]:
                    seen.append(f"{name} ran on both hosts")

    thread = Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join(30)


def is_frozen(machine: "running.Running") -> str:
    """Say what keeps a running machine from writing; nothing when it can."""
    if machine.virsh("domstate", machine.name).strip() != "running":
        return ""
    for target in machine.disks:
        try:
            machine.io(target, "write -P 85 3M 4k")
        except (AssertionError, lab.LabError) as error:
            return f"{machine.name} cannot write to {target}: {error}"
    return ""
