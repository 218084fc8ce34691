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


class LabLife(BaseModel):
    """What was seen."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    before: Machine
    up_seconds: float
    lab: Lab
    daemons: list[int]
    daemons_after_second_up: list[int]
    lab_after_second_up: Lab
    missing_after_kill: list[str]
    missing_after_repair: list[str]
    account_sees: str
    account: str
    mirror_answer: str
    copied_volume: str
    volumes_after_wipe: str
    domains_after_wipe: str
    status: str
    foreign_lab: str
    foreign_folder: str
    down_seconds: float
    leftovers: list[str]
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
    """Build, use, hurt, repair and remove a lab."""
    before = look_at_machine()
    began = time.monotonic()
    built = lab.up()
    up_seconds = time.monotonic() - began
    first = _daemons()
    again = lab.up()
    second = _daemons()
    Path(settings.mirror_folder, "hello").write_text("from the mirror")
    missing_after_kill = _hurt()
    lab.up()
    missing_after_repair = status.missing()
    copied, volumes, domains = _use(built.source)
    seen = LabLife(
        before=before,
        up_seconds=up_seconds,
        lab=built,
        daemons=first,
        daemons_after_second_up=second,
        lab_after_second_up=again,
        missing_after_kill=missing_after_kill,
        missing_after_repair=missing_after_repair,
        account_sees=_output("virsh", "-c", built.destination.uri, "net-list", "--name"),
        account=_output(*status.ssh_command(built.source).split(), "id", "-Gn"),
        mirror_answer=_fetch(f"{built.mirror_url}/hello"),
        copied_volume=copied,
        volumes_after_wipe=volumes,
        domains_after_wipe=domains,
        status=_output(sys.executable, "-m", "lab", "status"),
        foreign_lab=_fail_to_build_in(Path(f"{settings.state_folder}-2")),
        foreign_folder="",
        down_seconds=0,
        leftovers=[],
        after=before,
    )
    began = time.monotonic()
    lab.down()
    ended = {
        "foreign_folder": _fail_to_build_in(Path(__file__).parent),
        "down_seconds": time.monotonic() - began,
        "leftovers": lab.leftovers(),
        "after": look_at_machine(),
    }
    return seen.model_copy(update=ended)


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


def _use(host: LabHost) -> tuple[str, str, str]:
    """Copy a sparse image into a pool and define a domain; then wipe."""
    image = settings.state_folder / "sparse.img"
    with image.open("wb") as file:
        file.truncate(1 << 30)
    lab.copy_into_pool(host, "default", image, "sparse")
    copied = lab.run(host, ["virsh", "vol-info", "--bytes", "sparse", "default"]).stdout
    empty = "<domain type='qemu'><name>empty</name><memory>1024</memory><os><type>hvm</type></os>"
    define = ["sh", "-c", f'echo "{empty}</domain>" | virsh define /dev/stdin']
    lab.run(host, define)
    lab.wipe(host)
    volumes = lab.run(host, ["virsh", "-q", "vol-list", "default"]).stdout
    return copied, volumes, lab.run(host, ["virsh", "-q", "list", "--all"]).stdout


def _fail_to_build_in(state_folder: Path) -> str:
    """Try to build a lab with this state folder, and return what is said."""
    argv = ["env", f"TRADEWIND_LAB_DIR={state_folder}", sys.executable, "-m", "lab", "up"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    return done.stderr if done.returncode else "it was built"


def _fetch(url: str) -> str:
    with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 - the lab's own mirror
        text: bytes = answer.read()
    return text.decode()


def _output(*argv: str) -> str:
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout


if __name__ == "__main__":
    sys.stdout.write(live().model_dump_json())
