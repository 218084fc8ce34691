# SPDX-License-Identifier: Apache-2.0
"""The Prefect server that the commands talk to: whether it answers, and how it is set."""

from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

import httpx
from prefect.client.orchestration import SyncPrefectClient
from prefect.exceptions import PrefectHTTPStatusError
from prefect.settings import get_current_settings

from deployments import project
from deployments.advice import Advice
from deployments.installing import Installed
from tradewind.errors import AccessRefusedError, ConnectionFailedError, TradewindError
from tradewind.model.record import Record

_LEASES = "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE"
_VACUUM = "PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED"
_RETRIES = "PREFECT_CLIENT_MAX_RETRIES"
# How Prefect (3.8.8) says that it cannot connect, when it asks for the server's version first.
_UNREACHABLE = "Failed to reach API at"


class SetupResult(Record):
    """What a setup came to."""

    installed: tuple[Installed, ...]
    advice: tuple[Advice, ...]


def look_at(client: SyncPrefectClient) -> tuple[Advice, ...]:
    """Ask the server how it is set, and say what it lacks; our own client's settings too."""
    server: dict[str, Any] = client.request("GET", "/admin/settings").json()["server"]
    return tuple(_advice(server))


def _advice(server: dict[str, Any]) -> Iterator[Advice]:
    wanted = project.settings("server")
    remedy = "start it with: tradewind settings server"
    leases = server["concurrency"]["lease_storage"]
    if leases.endswith(".memory"):
        yield Advice(
            what="The server keeps leases in memory: when it is restarted, healthy runs crash.",
            remedy=f"{remedy} ({_LEASES}={wanted[_LEASES]})",
        )
    if "flow_runs" not in server["services"]["db_vacuum"]["enabled"]:
        yield Advice(
            what="The server never removes old runs and their logs: its database grows for ever.",
            remedy=f"{remedy} ({_VACUUM}={wanted[_VACUUM]})",
        )
    retries = int(project.settings("worker")[_RETRIES])
    if get_current_settings().client.max_retries < retries:
        yield Advice(
            what="Here Prefect's client gives up after a minute without the server.",
            remedy=f"set {_RETRIES}={retries}, here and for each worker: tradewind settings worker",
        )


@contextmanager
def told_apart() -> Iterator[None]:
    """Say in our own tree what keeps the server from answering."""
    try:
        yield
    except Exception as error:
        known = explained(error)
        if known is None:
            raise
        raise known from None


def explained(error: BaseException) -> TradewindError | None:
    """Say in our own tree what an error of Prefect's client means; None when it is another one."""
    match error:
        case httpx.TransportError():
            return _does_not_answer(str(error))
        case RuntimeError() if str(error).startswith(_UNREACHABLE):
            return _does_not_answer(str(error))
        case PrefectHTTPStatusError() if error.response.status_code == HTTPStatus.UNAUTHORIZED:
            return AccessRefusedError(
                "Prefect's server wants to know who asks",
                "set PREFECT_API_AUTH_STRING to the server's PREFECT_SERVER_API_AUTH_STRING",
            )
        case PrefectHTTPStatusError() if error.response.is_server_error:
            return ConnectionFailedError(
                f"Prefect's server failed: {error.response.status_code} for {error.request.url}",
                "try again; if that does not help, its log says why",
            )
        case _:
            return None


def _does_not_answer(why: str) -> TradewindError:
    url = urlsplit(get_current_settings().api.url or "")
    shown = url._replace(netloc=url.netloc.rpartition("@")[2]).geturl()  # no password
    return ConnectionFailedError(
        f"Prefect's server does not answer: {why}",
        f"PREFECT_API_URL is {shown}; see that a server runs there. What a"
        " run had done by then, `tradewind status` shows as soon as it does",
    )
