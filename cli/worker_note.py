# SPDX-License-Identifier: Apache-2.0
"""A word for somebody who waits for a run that nobody starts."""

from cli.printing import console


def tell_of_missing_worker() -> None:
    """Print what to do when no worker runs; nothing otherwise."""
    from deployments.work_pool import missing_worker  # noqa: PLC0415 - Prefect takes seconds

    missing = missing_worker()
    if missing is not None:
        console.print(f"{missing.what}\n  → {missing.remedy}", markup=False, soft_wrap=True)
