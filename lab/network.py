# SPDX-License-Identifier: Apache-2.0
"""The LAN: a bridge on this machine, one network namespace and one veth pair per host.

This machine's own forwarding stays as it is: the hosts route between their guests and the LAN, and
this machine only has routes to them, which go away with the bridge.
"""

from pathlib import Path

from lab import settings
from lab.commands import call
from lab.errors import LabError
from lab.records import EVERY_HOST, HOSTS, HostPlan

_LINKS = Path("/sys/class/net")
_NAMESPACES = Path("/run/netns")
# The first `ip netns add` on a machine mounts this folder over itself and leaves it so.
_NETNS_MOUNT_IS_OURS = settings.state_folder / "netns-mount-is-ours"


def refuse_foreign_lab() -> None:
    """Raise LabError when a lab with another state folder has the bridge."""
    try:
        owner = (_LINKS / settings.BRIDGE / "ifalias").read_text().strip()
    except FileNotFoundError:
        return
    if owner != str(settings.state_folder):
        raise LabError(
            f"bridge {settings.BRIDGE} belongs to a lab whose state is in {owner or 'no folder'}",
            f"end that one first: TRADEWIND_LAB_DIR={owner} python -m lab down"
            if owner
            else f"remove the bridge: ip link delete {settings.BRIDGE}",
        )


def build() -> None:
    """Make what is missing of the bridge, the namespaces, the veth pairs and the routes."""
    if str(_NAMESPACES) not in mount_points():
        _NETNS_MOUNT_IS_OURS.touch()
    _make_bridge()
    for plan in HOSTS:
        connect(plan)


def connect(plan: HostPlan) -> None:
    """Put a host on the LAN, with routes to the guests of the others and from them to its own."""
    _plug_in(plan)
    _ip("route", "replace", f"{plan.lan}.0/24", "via", plan.address)
    for other in EVERY_HOST:
        if other != plan and _has_namespace(other):
            _inside(plan, "route", "replace", f"{other.lan}.0/24", "via", other.address)
            _inside(other, "route", "replace", f"{plan.lan}.0/24", "via", plan.address)


def _make_bridge() -> None:
    bridge = settings.BRIDGE
    if not (_LINKS / bridge).exists():
        _ip("link", "add", bridge, "type", "bridge")
        # So that a second checkout with another state folder sees whose bridge it is.
        _ip("link", "set", bridge, "alias", str(settings.state_folder))
    _ip("address", "replace", f"{settings.CONTROLLER}/24", "dev", bridge)
    _ip("link", "set", bridge, "up")


def _plug_in(plan: HostPlan) -> None:
    name = plan.namespace
    if not (_NAMESPACES / name).exists():
        _ip("netns", "add", name)
    if not (_LINKS / name).exists():
        _ip("link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", name)
    _ip("link", "set", name, "master", settings.BRIDGE, "up")
    _inside(plan, "link", "set", "lo", "up")
    _inside(plan, "link", "set", "eth0", "up")
    _inside(plan, "address", "replace", f"{plan.address}/24", "dev", "eth0")


def remove() -> None:
    """Remove what is there of it; processes inside the namespaces must have ended."""
    for plan in EVERY_HOST:
        if (_LINKS / plan.namespace).exists():
            _ip("link", "delete", plan.namespace)
        if (_NAMESPACES / plan.namespace).exists():
            _ip("netns", "delete", plan.namespace)
    if (_LINKS / settings.BRIDGE).exists():
        _ip("link", "delete", settings.BRIDGE)
    if _NETNS_MOUNT_IS_OURS.exists() and not any(_NAMESPACES.iterdir()):
        call(["umount", str(_NAMESPACES)])


def mount_points() -> list[str]:
    """Return where something is mounted on this machine."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    return [line.split()[4] for line in lines]


def remains() -> list[str]:
    """Name the links, namespaces and routes of the lab that are on this machine."""
    links = [f"link {path.name}" for path in _LINKS.iterdir() if path.name in _our_links()]
    spaces = [f"namespace {plan.namespace}" for plan in EVERY_HOST if _has_namespace(plan)]
    routes = call(["ip", "-4", "route", "show", "root", "198.18.0.0/15"]).stdout.splitlines()
    return [*links, *spaces, *(f"route {route.strip()}" for route in routes)]


def _our_links() -> set[str]:
    return {settings.BRIDGE, *(plan.namespace for plan in EVERY_HOST)}


def _has_namespace(plan: HostPlan) -> bool:
    return (_NAMESPACES / plan.namespace).exists()


def _ip(*arguments: str) -> None:
    call(["ip", *arguments])


def _inside(plan: HostPlan, *arguments: str) -> None:
    call(["ip", "-n", plan.namespace, *arguments])
