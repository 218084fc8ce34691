# SPDX-License-Identifier: Apache-2.0
"""A word for somebody who waits for a run that nobody starts."""

from cli.printing import console
from deployments.advice import Advice
from deployments.workers import missing_worker


def tell_of_missing_worker() -> None:
    """Print what to do when no worker runs; nothing otherwise."""
    tell(missing_worker())


def tell(advice: Advice | None) -> None:
    """Print what should be done, if there is something."""
    if advice is not None:
        console.print(f"{advice.what}\n  → {advice.remedy}", markup=False, soft_wrap=True)
