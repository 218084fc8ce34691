# SPDX-License-Identifier: Apache-2.0
from collections.abc import Sequence

import pytest

from tradewind.errors import HypervisorError
from tradewind.host import arp
from tradewind.ports import Completed

# As iproute2 6.1 printed it, addresses changed: one that answered, one that did not, one twice.
TABLE = """[{"dst":"198.18.5.1","dev":"virbr0","lladdr":"52:54:00:00:00:01","state":["STALE"]},
{"dst":"198.18.5.8","dev":"virbr0","state":["FAILED"]},
{"dst":"198.18.5.7","dev":"virbr0","lladdr":"52:54:00:ab:cd:ef","state":["REACHABLE"]},
{"dst":"198.18.9.7","dev":"br1","lladdr":"52:54:00:ab:cd:ef","state":["STALE"]}]"""


ENTRY = '{"dst": "198.18.5.7"},'


class Host:
    """A Remote whose `ip` prints one text."""

    def __init__(self, said: str) -> None:
        self.said = said
        self.asked: list[tuple[str, ...]] = []

    def run(
        self, argv: Sequence[str], *, stdin: bytes = b"", timeout: float = 60, check: bool = True
    ) -> Completed:
        self.asked.append(tuple(argv))
        return Completed(tuple(argv), 0, self.said, "")

    def write(self, path: str, content: bytes, mode: int = 0o600) -> None:
        raise AssertionError(path)


@pytest.mark.parametrize(
    ("mac", "found"),
    [
        ("52:54:00:AB:CD:EF", ("198.18.5.7", "198.18.9.7")),
        ("52:54:00:00:00:01", ("198.18.5.1",)),
        ("52:54:00:00:00:02", ()),
    ],
)
def test_all_addresses_of_a_mac_are_found(mac: str, found: tuple[str, ...]) -> None:
    host = Host(TABLE)
    assert arp.read(host, mac) == found
    assert host.asked == [("ip", "-json", "-4", "neighbour", "show")]


@pytest.mark.parametrize("said", ["", "[]", "[ ]\n"])
def test_an_empty_table_knows_nobody(said: str) -> None:
    assert arp.read(Host(said), "52:54:00:ab:cd:ef") == ()


@pytest.mark.parametrize(
    "said",
    [
        "198.18.5.7 dev virbr0",
        '{"dst": 1}',
        "[{}]",
        '[{"dst": "-oProxyCommand=reboot", "lladdr": "52:54:00:ab:cd:ef"}]',
        f"[{ENTRY * arp.MOST_ENTRIES}{ENTRY[:-1]}]",
        "[" * 100_000,
    ],
    ids=range(6),
)
def test_what_cannot_be_read_is_no_empty_table(said: str) -> None:
    with pytest.raises(HypervisorError, match="address source arp") as caught:
        arp.read(Host(said), "52:54:00:ab:cd:ef")
    assert "migr_worker_iface_addr_src" in caught.value.hint
