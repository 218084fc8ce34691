# SPDX-License-Identifier: Apache-2.0
"""Prefect's API asked plainly; what is no plain answer is asked for by Prefect's own client."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from deployments import prefect_api
from deployments.prefect_api import PAGE, PrefectApi, pages

Asked = list[tuple[str, str, Any]]


@pytest.fixture
def by_client(monkeypatch: pytest.MonkeyPatch) -> Asked:
    """Keep what Prefect's client would be asked."""
    asked: Asked = []

    def ask(method: str, path: str, body: Any) -> str:
        asked.append((method, path, body))
        return "by the client"

    monkeypatch.setattr(prefect_api, "_by_prefects_client", ask)
    return asked


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Answer with what a path says, as a status or as JSON; what came as a login."""
    logins: list[str] = []

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            logins.append(self.headers.get("Authorization") or "")
            status, _, said = self.path.removeprefix("/api/").partition("/")
            self.send_response(int(status))
            self.end_headers()
            self.wfile.write(said.encode())

        def log_message(self, *_said: Any) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as answering:
        threading.Thread(target=answering.serve_forever, daemon=True).start()
        monkeypatch.setenv("PREFECT_API_URL", f"http://127.0.0.1:{answering.server_port}/api/")
        yield logins
        answering.shutdown()


def test_plain_answers_need_no_client(
    heard: list[str], by_client: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert PrefectApi().ask("GET", "/200/[1]") == [1]
    assert PrefectApi().ask("GET", "/204/") is None
    assert PrefectApi().ask("GET", "/404/{}") is None
    monkeypatch.setenv("PREFECT_API_AUTH_STRING", "admin:pass")
    PrefectApi().ask("GET", "/200/1")
    assert (heard, by_client) == (["", "", "", "Basic YWRtaW46cGFzcw=="], [])


@pytest.mark.parametrize("path", ["/401/", "/403/", "/503/", "/200/<html>"])
@pytest.mark.usefixtures("heard")
def test_what_is_no_plain_answer_is_asked_again(by_client: Asked, path: str) -> None:
    assert PrefectApi().ask("GET", path) == "by the client"
    assert by_client == [("GET", path, None)]


@pytest.mark.parametrize("url", ["", "http://127.0.0.1:9/api", "file:///etc", "http://u:p@:x/api"])
def test_without_a_connection_the_client_says_why(
    by_client: Asked, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv("PREFECT_API_URL", url)
    assert PrefectApi().ask("POST", "/flows/", {"name": "transfer"}) == "by the client"
    assert by_client == [("POST", "/flows/", {"name": "transfer"})]


class Shelf:
    """Some deployments, given away in pages."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.asked: list[dict[str, Any]] = []

    def ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """Give a page."""
        assert body is not None
        self.asked.append({"method": method, "path": path, **json.loads(json.dumps(body))})
        return [{"number": n} for n in range(self.count)][body["offset"] :][: body["limit"]]


@pytest.mark.parametrize(("count", "requests"), [(0, 1), (1, 1), (PAGE, 2), (2 * PAGE + 1, 3)])
def test_all_pages_are_walked_and_no_more(count: int, requests: int) -> None:
    shelf = Shelf(count)
    assert len(list(pages(shelf, "/deployments/filter", {"sort": "NAME_ASC"}))) == count
    assert len(shelf.asked) == requests
    assert {each["sort"] for each in shelf.asked} == {"NAME_ASC"}
