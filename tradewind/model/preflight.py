# SPDX-License-Identifier: Apache-2.0
"""Everything that would keep a machine from moving, all at once."""

from enum import StrEnum
from typing import Final

from pydantic import Field, model_validator

from tradewind.model.deploy_options import DeployOptions, FoldedDeployOptions, with_old_names
from tradewind.model.finding import Finding, Severity
from tradewind.model.record import Record
from tradewind.model.requests import DeployRequest, TransferRequest, deployment_of


class Area(StrEnum):
    """What was looked at, in the order of the report."""

    DESTINATION = "destination host"
    WORKER = "worker"
    MACHINE = "machine on its source"
    GUEST = "operating system"
    REPLICA = "replica volumes"
    NEW_MACHINE = "new machine"


class PreflightRequest(Record):
    """Look at a machine, its source and its destination; change nothing."""

    transfer: TransferRequest = Field(
        title="Transfer", description="The machine, its source, and its destination."
    )
    deploy_options: FoldedDeployOptions = Field(
        default_factory=DeployOptions,
        title="New machine",
        description="Its name, networks and hardware, and how its guest would be adapted.",
    )

    _old_names = model_validator(mode="before")(with_old_names)

    def deployment(self) -> DeployRequest:
        """Ask for the deployment that would end the move."""
        return deployment_of(self.transfer, self.deploy_options)


class AreaFindings(Record):
    """What was seen of one area; nothing when all is well."""

    area: Area
    findings: tuple[Finding, ...] = ()


_SERIOUS_FIRST: Final = (Severity.ERROR, Severity.WARNING, Severity.NOTE)


class PreflightReport(Record):
    """What was seen of all areas. `skipped` could not be looked at, because of an error before."""

    machine: str
    source: str
    destination: str
    areas: tuple[AreaFindings, ...]
    skipped: tuple[Area, ...] = ()

    def sorted_findings(self) -> list[tuple[Area, Finding]]:
        """List the findings, the serious ones first."""
        found = [(seen.area, finding) for seen in self.areas for finding in seen.findings]
        return sorted(found, key=lambda each: _SERIOUS_FIRST.index(each[1].severity))

    def count(self, severity: Severity) -> int:
        """Count the findings of one severity."""
        return sum(finding.severity is severity for _, finding in self.sorted_findings())

    @property
    def ready(self) -> bool:
        """Whether nothing was found that would keep the machine from moving."""
        return not self.count(Severity.ERROR)
