# SPDX-License-Identifier: Apache-2.0
"""The neighbour (ARP) table of a host, read over SSH.

Not by libvirt: its 9.0 cannot parse the table of recent kernels ("wrong nlmsg len").
"""

from ipaddress import IPv4Address
from typing import Annotated, Final

import pydantic

from tradewind.errors import HypervisorError
from tradewind.model.host import HostAccess
from tradewind.model.mac import Mac, read_mac
from tradewind.model.record import faults
from tradewind.ports import Remote
from tradewind.remote import shell


class _Neighbour(pydantic.BaseModel):
    """What counts of an entry; one whose neighbour did not answer has no `lladdr`."""

    dst: IPv4Address
    lladdr: Mac = ""


# More than the kernel keeps (gc_thresh3 is 1,024 unless somebody raised it).
MOST_ENTRIES: Final = 65536
_TABLE = pydantic.TypeAdapter(Annotated[list[_Neighbour], pydantic.Field(max_length=MOST_ENTRIES)])


def addresses(host: HostAccess, mac: str) -> tuple[str, ...]:
    """IPv4 addresses that a host knows for a MAC address; empty while it knows none.

    An entry may be older than the machine that has the MAC address: see who answers there.
    """
    with shell.connect_to_host(host) as remote:
        return read(remote, mac)


def read(remote: Remote, mac: str) -> tuple[str, ...]:
    """Ask iproute2 on the host (ip-neighbour(8)); RemoteCommandError where it is missing."""
    said = remote.run(["ip", "-json", "-4", "neighbour", "show"]).stdout
    try:
        table = _TABLE.validate_json(said or "[]")
    except pydantic.ValidationError as error:
        raise HypervisorError(
            f"address source arp: the host's `ip neighbour` cannot be read: {faults(error)}",
            "set migr_worker_iface_addr_src to lease or agent",
        ) from None
    return tuple(str(entry.dst) for entry in table if entry.lladdr == read_mac(mac))
