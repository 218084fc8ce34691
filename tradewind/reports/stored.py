# SPDX-License-Identifier: Apache-2.0
"""Reports that the ledger keeps as JSON."""

from tradewind.model.ledger import RunKind
from tradewind.model.report import DeployReport, TransferReport
from tradewind.model.requests import RemovalReport
from tradewind.reports.deploy import deploy_markdown
from tradewind.reports.removal import removal_markdown
from tradewind.reports.transfer import transfer_markdown


def markdown_of(kind: RunKind, report: str) -> str:
    """Write a report that was stored as JSON."""
    match kind:
        case RunKind.EXECUTION:
            return transfer_markdown(TransferReport.model_validate_json(report))
        case RunKind.DEPLOYMENT | RunKind.REHEARSAL:
            return deploy_markdown(DeployReport.model_validate_json(report))
        case RunKind.REMOVAL:
            return removal_markdown(RemovalReport.model_validate_json(report))
