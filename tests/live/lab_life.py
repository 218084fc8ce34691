# SPDX-License-Identifier: Apache-2.0
"""One life of a lab, from nothing to nothing, in a world of its own.

Run as a program inside fresh network, mount and process namespaces (`world_of_its_own`), so that a
lab which is up on the same machine is neither disturbed nor seen. Prints what it saw as JSON.
"""

import hashlib
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from pydantic import BaseModel, ConfigDict

import lab
from lab import Lab, LabHost, daemons, namespaces, network, settings, status
from lab.records import HOSTS

# As on a machine where `ip netns add` was never used, whatever this one has below /run; /sys shows
# the links of the namespace that mounts it.
_ENTER = """
umount --recursive --lazy /run/netns 2>/dev/null
mount -t tmpfs none /run && mount -t sysfs none /sys && ip link set lo up && "$@"
"""


def world_of_its_own() -> list[str]:
    """Return the command that runs this program where no other lab is."""
    namespaces_made = ["--net", "--mount", "--pid", "--fork", "--mount-proc"]
    program = [sys.executable, "-m", "tests.live.lab_life"]
    return ["unshare", *namespaces_made, "sh", "-c", _ENTER, "sh", *program]


class Machine(BaseModel):
    """What the lab could change on the machine."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    mounts: list[str]
    links: list[str]
    routes: list[str]
    processes: list[str]
    accounts: str
    ip_forward: str


class Building(BaseModel):
    """Up, up again, and up after something died."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seconds: float
    lab: Lab
    lab_again: Lab
    daemons: list[int]
    daemons_again: list[int]
    missing_after_kill: list[str]
    missing_after_repair: list[str]


class Using(BaseModel):
    """What the lab is good for."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    networks: str
    account: str
    mirror_answer: str
    status: str
    foreign_lab: str
    copied_volume: str
    volumes_after_wipe: str
    domains_after_wipe: str


class Ending(BaseModel):
    """Down."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seconds: float
    leftovers: list[str]
    foreign_folder: str


class LabLife(BaseModel):
    """What was seen."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    before: Machine
    building: Building
    using: Using
    ending: Ending
    after: Machine


def look_at_machine() -> Machine:
    """Take stock, in an order that does not depend on chance."""
    links = [path.name for path in Path("/sys/class/net").iterdir()]
    return Machine(
        mounts=sorted(network.mount_points()),
        links=sorted(links),
        routes=_output("ip", "route", "show", "table", "all").splitlines(),
        processes=sorted(_output("ps", "-eo", "comm=").split()),
        accounts=hashlib.sha256(Path("/etc/passwd").read_bytes()).hexdigest(),
        ip_forward=Path("/proc/sys/net/ipv4/ip_forward").read_text(),
    )


def live() -> LabLife:
    """Build, hurt, repair, use and remove a lab."""
    before = look_at_machine()
    building = _build()
    using = _use(building.lab)
    ending = _end()
    after = look_at_machine()
    return LabLife(before=before, building=building, using=using, ending=ending, after=after)


def _build() -> Building:
    _leave_a_ledger()
    began = time.monotonic()
    built = lab.up()
    seconds = time.monotonic() - began
    first = _daemons()
    again = lab.up()
    second = _daemons()
    missing_after_kill = _hurt()
    lab.up()
    return Building(
        seconds=seconds,
        lab=built,
        lab_again=again,
        daemons=first,
        daemons_again=second,
        missing_after_kill=missing_after_kill,
        missing_after_repair=status.missing(),
    )


def _leave_a_ledger() -> None:
    """Do what a transfer does that outlives its lab."""
    settings.state_folder.mkdir(parents=True)
    settings.ledger_file.touch()


def _daemons() -> list[int]:
    names = [daemon.name for daemon in daemons.DAEMONS]
    found = [namespaces.daemon(plan, name, name) for plan in HOSTS for name in names]
    return [pid for pid in found if pid]


def _hurt() -> list[str]:
    """Kill one host's libvirtd, and say what is missing then."""
    pid = namespaces.daemon(HOSTS[0], "libvirtd", "libvirtd")
    subprocess.run(["kill", "-KILL", str(pid)], check=True)
    while namespaces.daemon(HOSTS[0], "libvirtd", "libvirtd"):
        time.sleep(0.05)
    return status.missing()


def _use(built: Lab) -> Using:
    Path(settings.mirror_folder, "hello").write_text("from the mirror")
    copied = _copy_sparse_image(built.source)
    _define_empty_domain(built.source)
    lab.wipe(built.source)
    return Using(
        networks=_output("virsh", "-c", built.destination.uri, "net-list", "--name"),
        account=_output(*status.ssh_command(built.source).split(), "id", "-Gn"),
        mirror_answer=_fetch(f"{built.mirror_url}/hello"),
        status=_output(sys.executable, "-m", "lab", "status"),
        foreign_lab=_fail_to_build_in(Path(f"{settings.state_folder}-2")),
        copied_volume=copied,
        volumes_after_wipe=lab.run(built.source, ["virsh", "-q", "vol-list", "default"]).stdout,
        domains_after_wipe=lab.run(built.source, ["virsh", "-q", "list", "--all"]).stdout,
    )


def _copy_sparse_image(host: LabHost) -> str:
    image = settings.state_folder / "sparse.img"
    with image.open("wb") as file:
        file.truncate(1 << 30)
    lab.copy_into_pool(host, "default", image, "sparse")
    return lab.run(host, ["virsh", "vol-info", "--bytes", "sparse", "default"]).stdout


def _define_empty_domain(host: LabHost) -> None:
    empty = "<domain type='qemu'><name>empty</name><memory>1024</memory><os><type>hvm</type></os>"
    lab.run(host, ["sh", "-c", f'echo "{empty}</domain>" | virsh define /dev/stdin'])


def _end() -> Ending:
    began = time.monotonic()
    lab.down()
    return Ending(
        seconds=time.monotonic() - began,
        leftovers=lab.leftovers(),
        foreign_folder=_fail_to_build_in(Path(__file__).parent),
    )


def _fail_to_build_in(state_folder: Path) -> str:
    """Try to build a lab with this state folder, and return what is said."""
    argv = ["env", f"TRADEWIND_LAB_DIR={state_folder}", sys.executable, "-m", "lab", "up"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    return done.stderr if done.returncode else "it was built"


def _fetch(url: str) -> str:
    with urllib.request.urlopen(url, timeout=5) as answer:
        text: bytes = answer.read()
    return text.decode()


def _output(*argv: str) -> str:
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout


if __name__ == "__main__":
    sys.stdout.write(live().model_dump_json())
