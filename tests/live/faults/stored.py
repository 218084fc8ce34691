# SPDX-License-Identifier: Apache-2.0
"""A replica that is kept in build/faults with its ledger: a transfer costs a minute each time."""

import hashlib
import shutil
from pathlib import Path
from typing import Final

import lab
from lab import namespaces
from lab.faults import hosts
from lab.records import LabHost
from tests.live.faults import book
from tests.live.faults.scene import LEDGER, VICTIM

# What decides how a ledger and a replica of the tiny machine look.
_TREES: Final = ("HEAD:tradewind", "HEAD:tests/live/faults")


def _folder() -> Path:
    trees = hashlib.sha256(book.git("rev-parse", *_TREES).encode()).hexdigest()[:10]
    return book.FOLDER / f"replica-{trees}"


def keep(host: LabHost) -> None:
    """Keep the replica that a transfer has just made, and the ledger that knows it.

    Outside a checkout nobody could say of which code it is.
    """
    if not book.git("rev-parse", "HEAD"):
        return
    folder = _folder()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for file in _pool(host).glob(f"{VICTIM}*"):
        shutil.copy(file, folder)
    shutil.copy(LEDGER, folder)


def plant(host: LabHost) -> bool:
    """Put the kept replica where it was; False when there is none."""
    if not book.git("rev-parse", "HEAD") or not (folder := _folder()).exists():
        return False
    for file in folder.glob(f"{VICTIM}*"):
        shutil.copy(file, _pool(host))
    shutil.copy(folder / LEDGER.name, LEDGER)
    lab.run(host, ["virsh", "pool-refresh", hosts.BOUNDED])
    return True


def _pool(host: LabHost) -> Path:
    return hosts.bounded_file(namespaces.plan_of(host), ".")
