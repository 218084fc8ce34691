# SPDX-License-Identifier: Apache-2.0
"""The hosts as they are planned, and the lab as it is handed out."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict

from lab import settings


@dataclass(frozen=True, slots=True)
class HostPlan:
    """One host before it exists: everything about it follows from its name and number."""

    name: str
    number: int
    system: str = ""
    """The recipe below images/hosts that it runs; empty: this machine's own system."""

    @property
    def namespace(self) -> str:
        """The network namespace; the host's end of the LAN on this machine has the same name."""
        return f"tw-{self.name}"

    @property
    def address(self) -> str:
        """The address on the LAN."""
        return f"198.18.0.{10 + self.number}"

    @property
    def lan(self) -> str:
        """The first three numbers of the addresses of network `lan`."""
        return f"198.18.{self.number}0"

    @property
    def nat(self) -> str:
        """The first three numbers of the addresses of network `default`."""
        return f"198.18.{self.number}1"

    @property
    def folder(self) -> Path:
        """The host's private files: `etc` here is its /etc, and so on."""
        return settings.state_folder / self.name


SOURCE: Final = HostPlan("source", 1)
DESTINATION: Final = HostPlan("destination", 2)
HOSTS: Final = (SOURCE, DESTINATION)
"""The hosts that each lab has."""

TRIXIE: Final = HostPlan("trixie", 5, "trixie")
BULLSEYE: Final = HostPlan("bullseye", 6, "bullseye")
GENERATIONS: Final = (TRIXIE, BULLSEYE)
"""Hosts of other generations, which join a lab that asks for them."""

EVERY_HOST: Final = (*HOSTS, *GENERATIONS)


class LabHost(BaseModel):
    """How to reach one host of the lab."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    address: str
    port: int
    username: str
    key_path: Path
    host_key: str
    """The host's line of a known_hosts file."""
    uri: str
    """For virsh on this machine."""


class Lab(BaseModel):
    """The running lab."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: LabHost
    destination: LabHost
    mirror_url: str
    kvm: bool
    """Whether guests run on hardware virtualization; otherwise they are emulated."""
