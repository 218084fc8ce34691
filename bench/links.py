# SPDX-License-Identifier: Apache-2.0
"""The links that are measured over, in network namespaces of their own; needs root.

near  ──  its loopback                                 loopback, and 20 ms (bench/relay.py)
near  ──  veth, tbf ═══════ tbf, veth  ──  far         1 Gbit/s, 200 Mbit/s
"""

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

NEAR, FAR = "tradewind-bench-near", "tradewind-bench-far"
_NEAR_ADDRESS: Final = "198.19.240.1"
_DEVICE: Final = "veth0"
_FAR_ADDRESS: Final = "198.19.240.2"

# Ports of up to eight disks; through the relay they are reached at others.
PORTS: Final = range(10809, 10809 + 8)
_RELAYED: Final = 1000


@dataclass(frozen=True, slots=True)
class Link:
    """What is between the mover and the servers.

    `rate` as tc(8) writes it, `delay` in seconds one way. Where the machine is the limit and not
    the link, whatever else it does disturbs: there are more `rounds`, and their median.
    """

    name: str
    rate: str | None = None
    delay: float = 0.0
    rounds: int = 1


LOOPBACK: Final = Link("loopback", rounds=5)
GIGABIT: Final = Link("1 Gbit/s", rate="1gbit", rounds=3)
SLOW: Final = Link("200 Mbit/s", rate="200mbit")
DISTANT: Final = Link("20 ms", delay=0.01)
LINKS: Final = (LOOPBACK, GIGABIT, SLOW, DISTANT)


@dataclass(frozen=True, slots=True)
class OpenLink:
    """A link that is up: prefixes for commands at its ends, and where the servers are."""

    link: Link
    near: tuple[str, ...]
    far: tuple[str, ...]
    address: str
    shift: int
    device: str

    def reached_at(self, port: int) -> int:
        """Name the port at which a server's port is reached from the near end."""
        return port + self.shift

    def bytes(self) -> int:
        """Count what has crossed the link until now, in both directions, packets and all."""
        counters = [
            int(_run([*self.near, "cat", f"/sys/class/net/{self.device}/statistics/{name}"]))
            for name in ("tx_bytes", "rx_bytes")
        ]
        if self.device != "lo":
            return sum(counters)
        # The loopback receives what it sends, and the relay sends all of it a second time.
        return counters[0] // (2 if self.shift else 1)


@contextmanager
def raised(link: Link) -> Iterator[OpenLink]:
    """Lend a link; its namespaces are gone afterwards."""
    with ExitStack() as stack:
        stack.enter_context(_namespace(NEAR))
        near, far = _within(NEAR), _within(FAR)
        if link.rate is not None:
            stack.enter_context(_namespace(FAR))
            _join(link.rate)
            yield OpenLink(link, near, far, _FAR_ADDRESS, 0, _DEVICE)
            return
        if link.delay:
            stack.enter_context(_relay(near, link.delay))
        yield OpenLink(link, near, near, "127.0.0.1", _RELAYED if link.delay else 0, "lo")


@contextmanager
def _namespace(name: str) -> Iterator[None]:
    subprocess.run(["ip", "netns", "delete", name], check=False, capture_output=True)
    _run(["ip", "netns", "add", name])
    try:
        _run(["ip", "-n", name, "link", "set", "lo", "up"])
        yield
    finally:
        _run(["ip", "netns", "delete", name])


def _within(name: str) -> tuple[str, ...]:
    return ("ip", "netns", "exec", name)


def _join(rate: str) -> None:
    peer = ["peer", "name", _DEVICE, "netns", FAR]
    _run(["ip", "-n", NEAR, "link", "add", "name", _DEVICE, "type", "veth", *peer])
    for name, address in ((NEAR, _NEAR_ADDRESS), (FAR, _FAR_ADDRESS)):
        _run(["ip", "-n", name, "address", "add", f"{address}/30", "dev", _DEVICE])
        _run(["ip", "-n", name, "link", "set", _DEVICE, "up"])
        limit = ["rate", rate, "burst", "128kb", "latency", "20ms"]
        _run(["tc", "-n", name, "qdisc", "add", "dev", _DEVICE, "root", "tbf", *limit])


@contextmanager
def _relay(near: Sequence[str], delay: float) -> Iterator[None]:
    pairs = [f"{port + _RELAYED}:{port}" for port in PORTS]
    argv = [*near, sys.executable, "-m", "bench.relay", str(delay), *pairs]
    root = Path(__file__).parents[1]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, cwd=root) as process:
        try:
            assert process.stdout is not None  # noqa: S101 - it was asked for
            process.stdout.readline()
            yield
        finally:
            process.terminate()


def _run(argv: Sequence[str]) -> str:
    return subprocess.run(argv, check=True, stdout=subprocess.PIPE, text=True, timeout=30).stdout
