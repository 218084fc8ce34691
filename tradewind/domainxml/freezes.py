# SPDX-License-Identifier: Apache-2.0
"""The mark in a running domain's <metadata> that says: this run froze, or was about to.

<tradewind:freeze xmlns:tradewind="urn:tradewind:freeze:1" run="0123456789ab"/>
"""

import re
from typing import Final

from tradewind.domainxml.document import E, parse, to_text

PREFIX: Final = "tradewind-freeze"
NAMESPACE: Final = "urn:tradewind:freeze:1"

_RUN: Final = re.compile(r"[0-9a-f]{12}")


def mark_xml(run: str) -> str:
    """Write the mark as virDomainSetMetadata takes it."""
    return to_text(E.freeze(run=run))


def run_of(xml: str) -> str | None:
    """Read the run from what virDomainGetMetadata returns; None when it is no mark of ours."""
    run = parse(xml).get("run", "")
    return run if _RUN.fullmatch(run) else None
