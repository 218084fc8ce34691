# SPDX-License-Identifier: Apache-2.0
"""The search for secrets that a live test makes: it finds what is there, and nothing else."""

import base64
import json
import pickle
import subprocess
import sys
import time
from collections.abc import Callable

import pytest

from tests.fakes.stage_blocks import private_key
from tests.live.secret_traces import command_lines, leaks, places_with, tables_of
from tradewind.streaming.certificates import make_certificates

KEY = private_key()
SECRETS = {
    "an SSH key": KEY,
    "an SSH key as an endpoint has it": base64.b64encode(KEY.encode()).decode(),
    "a TLS key": make_certificates("192.0.2.1", "w").server_key.get_secret_value(),
    "a passphrase": "opens-sesame-77",
    "a digest key": "9f" * 32,
}
FORMS: dict[str, Callable[[str], bytes]] = {
    "as it is": str.encode,
    "in JSON": lambda secret: json.dumps({"key": secret}).encode(),
    "as Python shows it": lambda secret: repr({"key": secret}).encode(),
    "cut off": lambda secret: secret.encode()[: len(secret) // 2 + 8],
    "in base64": lambda secret: base64.b64encode(f"{{{secret}}}".encode()),
    "in a stored result": lambda secret: base64.b64encode(pickle.dumps(ValueError(secret))),
    "twice": lambda secret: base64.b64encode(b"ab" + base64.b64encode(f"x{secret}".encode())),
    "as bytea": lambda secret: f"\\\\x{secret.encode().hex()}".encode(),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", SECRETS)
def test_every_form_is_found(name: str, form: str) -> None:
    secret = SECRETS[name]
    written = b"before " + FORMS[form](secret) + b" after"
    found = leaks({"innocent": b"nothing", "log": written}, [secret])
    assert found
    assert all(each.startswith("log: ") for each in found)


@pytest.mark.parametrize("name", SECRETS)
def test_others_are_not_found(name: str) -> None:
    """A public key in particular may stand anywhere."""
    public = make_certificates("192.0.2.1", "w").server_certificate
    others = "".join(secret for other, secret in SECRETS.items() if other[:5] != name[:5])
    assert leaks({"log": f"{public}{others}".encode()}, [SECRETS[name]]) == []


def test_tables_are_told_apart() -> None:
    dump = (
        b"SET x;\nCOPY public.log (id, message) FROM stdin;\n1\tsaid\n\\.\n\n"
        b'COPY public."user" (id) FROM stdin;\n\\.\n'
    )
    tables = tables_of(dump, "prefect")
    assert list(tables) == ["prefect.log", "prefect.user"]
    assert places_with(tables, "said") == {"prefect.log"}


def test_command_lines_are_seen_while_they_last() -> None:
    with command_lines() as seen:
        nap = "import time; time.sleep(20)"
        with subprocess.Popen([sys.executable, "-c", nap, "opens-sesame-77"]) as process:
            deadline = time.monotonic() + 15
            while time.monotonic() < deadline and not any(b"sesame" in each for each in seen):
                time.sleep(0.05)
            process.kill()
    assert any(b"opens-sesame-77" in each for each in seen)
