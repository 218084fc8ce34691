# SPDX-License-Identifier: Apache-2.0
"""What a shell completes: names that are stored, and machines that were transferred.

Asked for at a press of a key: each look may take a second, nothing is made, and what fails
completes to nothing.
"""

import sqlite3
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import typer

from deployments.prefect_api import PAGE, PrefectApi
from deployments.stored_transfers import TAG

# Seconds.
_PATIENCE: Final = 1.0
_ENDPOINTS: Final = "tradewind-libvirt-endpoint"
_IMAGES: Final = "tradewind-disk-images"
_OPTIONS: Final = "tradewind-provider-options"
# Read as a file: to import the ledger takes longer than a person waits for a key.
_MACHINES: Final = "SELECT DISTINCT machine_name FROM transfer"


def endpoints(begun: str) -> list[str]:
    """Complete the name of a host."""
    return _that_begin(begun, lambda: _blocks(_ENDPOINTS))


def image_folders(begun: str) -> list[str]:
    """Complete the name of a folder of disk images."""
    return _that_begin(begun, lambda: _blocks(_IMAGES))


def sources(begun: str) -> list[str]:
    """Complete the name of a host or of a folder of disk images."""
    return endpoints(begun) + image_folders(begun)


def option_blocks(begun: str) -> list[str]:
    """Complete the name of provider options."""
    return _that_begin(begun, lambda: _blocks(_OPTIONS))


def transfers(begun: str) -> list[str]:
    """Complete the name of what is stored: a transfer, or a group."""
    return _that_begin(begun, lambda: [each["name"] for each in _stored(begun)])


def machines(context: typer.Context, begun: str) -> list[str]:
    """Complete the name of a machine that was transferred, or is asked for by what is stored."""
    found = set(_that_begin(begun, lambda: _transferred(str(context.params.get("options") or ""))))
    return sorted(found.union(_that_begin(begun, lambda: _asked_for(begun))))


def transfers_and_machines(context: typer.Context, begun: str) -> list[str]:
    """Complete what `transfer run` and its like take: either name."""
    return sorted({*transfers(begun), *machines(context, begun)})


def _that_begin(begun: str, look: Callable[[], Iterable[str]]) -> list[str]:
    try:
        return sorted(name for name in look() if name.startswith(begun))
    except Exception:  # noqa: BLE001 - whatever it is, a person is typing: the command will say it
        return []


def _blocks(slug: str) -> list[str]:
    place = f"/block_types/slug/{slug}/block_documents?include_secrets=false"
    return [each["name"] for each in _ask("GET", place) or []]


def _stored(begun: str) -> list[dict[str, Any]]:
    asked: dict[str, Any] = {"tags": {"all_": [TAG]}}
    if begun:
        asked["name"] = {"like_": begun}  # anywhere in it; a default name has the machine's
    found: list[dict[str, Any]] | None = _ask(
        "POST", "/deployments/filter", {"deployments": asked, "limit": PAGE}
    )
    return found or []


def _asked_for(begun: str) -> list[str]:
    requests = (each["parameters"].get("request", {}) for each in _stored(begun))
    return [str(request["machine"]) for request in requests if "machine" in request]


def _transferred(options: str) -> list[str]:
    place = f"/block_types/slug/{_OPTIONS}/block_documents/name/{quote(options or 'default')}"
    ledger = str(_ask("GET", place)["data"]["sqlite_database_file"])
    file = Path(ledger.removeprefix("sqlite:///")).expanduser()
    # In this mode SQLite makes no file.
    address = f"{file.absolute().as_uri()}?mode=ro"
    with closing(sqlite3.connect(address, timeout=_PATIENCE, uri=True)) as database:
        return [str(name) for (name,) in database.execute(_MACHINES)]


def _ask(method: str, path: str, body: dict[str, Any] | None = None) -> Any:
    return PrefectApi(_PATIENCE).ask_once(method, path, body)
