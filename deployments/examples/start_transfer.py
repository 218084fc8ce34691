# SPDX-License-Identifier: Apache-2.0
"""Start a transfer through Prefect's API and wait for it: an example for programs of your own.

Python's standard library only. PREFECT_API_URL says where the server is; PREFECT_API_AUTH_STRING
(name:password) says who asks, where the server wants to know.

    python start_transfer.py web --from old --to new --key nightly-2026-12-01

Exit status: 0 completed, 1 ended otherwise, 2 refused by the server.
"""

import argparse
import base64
import json
import os
import sys
import time
import urllib.error
import urllib.request
from typing import Any

API = os.environ.get("PREFECT_API_URL", "http://127.0.0.1:4200/api")
FINAL = {"COMPLETED", "FAILED", "CANCELLED", "CRASHED"}


class ObjectionError(Exception):
    """The server refused a request; the message is its own."""


def call(method: str, path: str, body: dict[str, Any] | None = None) -> Any:
    """Send a request and return what the server answers; ObjectionError says what it objects to."""
    headers = {"Content-Type": "application/json"}
    if who := os.environ.get("PREFECT_API_AUTH_STRING"):
        headers["Authorization"] = "Basic " + base64.b64encode(who.encode()).decode()
    content = json.dumps(body).encode() if body is not None else None
    request = urllib.request.Request(  # noqa: S310 - the operator names the server
        f"{API}{path}", data=content, headers=headers, method=method
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
            return json.load(answer)
    except urllib.error.HTTPError as error:
        raise ObjectionError(f"{error.code}: {objection(error.read())}") from None


def objection(answer: bytes) -> str:
    """Read the sentence in an answer; what is no JSON is said as it is."""
    try:
        said = json.loads(answer)
    except ValueError:
        return answer.decode(errors="replace")
    return str(said.get("detail") or said.get("exception_message") or said)


def start(request: dict[str, Any], key: str | None) -> dict[str, Any]:
    """Ask for a run of the deployment transfer/transfer.

    The same key asks for the same run: a caller that heard no answer may ask again.
    """
    deployment = call("GET", "/deployments/name/transfer/transfer")
    asked = {"parameters": {"request": request}, "idempotency_key": key}
    run: dict[str, Any] = call("POST", f"/deployments/{deployment['id']}/create_flow_run", asked)
    return run


def wait(run_id: str) -> dict[str, Any]:
    """Return the state in which the run ended; a server that is away is asked again."""
    while True:
        try:
            state: dict[str, Any] = call("GET", f"/flow_runs/{run_id}")["state"]
        except urllib.error.URLError:
            state = {"type": "UNKNOWN"}
        if state["type"] in FINAL:
            return state
        time.sleep(5)


def main() -> int:
    """Read the command line, start the run, and say how it ended."""
    parser = argparse.ArgumentParser(description="Start a transfer through Prefect's API.")
    parser.add_argument("machine")
    parser.add_argument("--from", dest="source", required=True)
    parser.add_argument("--to", dest="destination", required=True)
    parser.add_argument("--key", help="The same key starts the run only once.")
    parser.add_argument("--no-wait", action="store_true", help="Only print the run's id.")
    asked = parser.parse_args()
    ends = {"source": asked.source, "destination": asked.destination}
    try:
        run = start({"machine": asked.machine, **ends}, asked.key)
    except ObjectionError as error:
        print(error, file=sys.stderr)
        return 2
    print(run["id"], flush=True)
    if asked.no_wait:
        return 0
    state = wait(run["id"])
    print(f"{state['name']}: {state.get('message') or ''}")
    return 0 if state["type"] == "COMPLETED" else 1


if __name__ == "__main__":
    sys.exit(main())
