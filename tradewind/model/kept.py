# SPDX-License-Identifier: Apache-2.0
"""A machine that was left on its host for a person to decide about."""

from datetime import datetime
from shlex import quote

from pydantic import Field

from tradewind.model.record import Record


class Kept(Record):
    """One kept machine: nothing of it is removed until somebody says so."""

    run: str = Field(description="The run that made it; what its volumes are named after.")
    transfer: str = Field(description="The transfer whose replica it was made from.")
    domain: str = Field(description="What the machine is called on its host.")
    destination: str = Field(description="Block of the host that has it.")
    since: datetime = Field(description="When it was found or kept.")
    why: str = Field(description="Why a person has to decide.")

    @property
    def to_keep(self) -> str:
        """The command after which it is a machine like any other."""
        return f"tradewind kept accept {self.run}"

    @property
    def to_remove(self) -> str:
        """The commands, on its host, that remove it with its disks."""
        name = quote(self.domain)
        return (
            f"virsh destroy {name}; virsh undefine {name} --nvram --tpm --remove-all-storage;"
            f" then {self.to_keep}"
        )
