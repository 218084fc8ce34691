# SPDX-License-Identifier: Apache-2.0
"""Prefect's REST API, asked plainly: to import Prefect's client takes longer than most answers.

Whatever is not a plain answer (a login that is stored in a profile, a proxy, a locked database, a
server that is away) is asked for again by Prefect's client, which knows how to go on and what to
say.
"""

import base64
import http.client
import json
import os
import urllib.error
import urllib.request
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any, Final, Protocol

# Seconds; Prefect's client has its own, and retries.
_TIMEOUT: Final = 30
# Prefect gives away no more at a time.
PAGE: Final = 200
# What a request ends with that is not answered plainly: no connection, a status, no JSON.
PLAIN_FAILURES: Final = (OSError, ValueError, http.client.HTTPException)


class Api(Protocol):
    """Answers requests to paths below the API's URL."""

    def ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """Return what a JSON answer says; None without an answer's body, or where nothing is."""
        ...


class PrefectApi:
    """The server that PREFECT_API_URL names."""

    def __init__(self, timeout: float = _TIMEOUT) -> None:
        self._timeout = timeout

    def ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """Return what a JSON answer says; None without an answer's body, or where nothing is."""
        try:
            return self.ask_once(method, path, body)
        except PLAIN_FAILURES:
            return _by_prefects_client(method, path, body)

    def ask_once(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """Do the same without Prefect's client; PLAIN_FAILURES when that does not do."""
        request = urllib.request.Request(  # noqa: S310 - _url refuses what is not HTTP
            f"{_url()}{path}",
            json.dumps(body).encode() if body else None,
            _headers(),
            method=method,
        )
        try:
            with urllib.request.urlopen(request, timeout=self._timeout) as answer:  # noqa: S310
                said = answer.read()
        except urllib.error.HTTPError as error:
            if error.code == HTTPStatus.NOT_FOUND:
                return None
            raise
        return json.loads(said) if said else None


def pages(api: Api, path: str, asked: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Walk all that a filter finds, page by page."""
    offset = 0
    while True:
        page = api.ask("POST", path, {**asked, "limit": PAGE, "offset": offset}) or []
        yield from page
        offset += PAGE
        if len(page) < PAGE:
            return


def _url() -> str:
    url = os.environ.get("PREFECT_API_URL", "").rstrip("/")
    if not url.startswith(("http://", "https://")):
        raise ValueError("no URL of an API in the environment")
    return url


def _headers() -> dict[str, str]:
    """Say who we are, as Prefect's client does (prefect/client/orchestration, 3.8)."""
    headers = {"Content-Type": "application/json", "Accept": "application/json"}
    login = os.environ.get("PREFECT_API_AUTH_STRING")
    if login:
        headers["Authorization"] = f"Basic {base64.b64encode(login.encode()).decode()}"
    return headers


def _by_prefects_client(method: str, path: str, body: dict[str, Any] | None) -> Any:
    from prefect.client.orchestration import get_client  # noqa: PLC0415 - it takes seconds to import
    from prefect.exceptions import ObjectNotFound, PrefectHTTPStatusError  # noqa: PLC0415

    from deployments.server import told_apart  # noqa: PLC0415

    asked: Any = {"method": method, "path": path}  # the client's own type lists its known paths
    with told_apart(), get_client(sync_client=True) as client:
        try:
            answer = client.request(**asked, json=body)
        except ObjectNotFound:
            return None
        except PrefectHTTPStatusError as error:
            if error.response.status_code == HTTPStatus.NOT_FOUND:
                return None
            raise
    return answer.json() if answer.content else None
