# SPDX-License-Identifier: Apache-2.0
"""No secret is written down anywhere: not by runs that end well, and not by runs that fail."""

import json
import secrets
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import guests, namespaces, settings, site
from lab.records import Lab, LabHost
from tests.fakes.stage_blocks import private_key
from tests.live import hosts
from tests.live.controller import Controller, wait_for
from tests.live.secret_traces import command_lines, files_below, leaks, places_with, tables_of
from tests.live.tradewind_command import Tradewind

pytestmark = pytest.mark.live

MACHINE = "vaulted"
PASSPHRASE = secrets.token_urlsafe(18)
OVER = {"Completed", "Failed", "Crashed", "Cancelled"}
# Where runs of this machine leave traces; whatever else is there is looked at too.
TALKS_OF_IT = {
    *("prefect.artifact", "prefect.events", "prefect.flow_run", "prefect.log"),
    *("prefect.task_run", "ledger.run", "ledger.transfer", "command lines"),
    *("printed by transfer from stranger", "printed by transfer from deaf", "printed by status"),
}


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A disk that is a LUKS container with nothing in it: it opens, and then there is no guest."""
    folder = tmp_path_factory.mktemp("images")
    word, raw, image = folder / "word", folder / "vaulted.luks", folder / "vaulted.qcow2"
    word.write_text(PASSPHRASE)
    cheap = ["-o", "key-secret=word,iter-time=10", "--object", f"secret,id=word,file={word}"]
    create = ["qemu-img", "create", "-q", "-f", "luks", *cheap, str(raw), "64M"]
    # QEMU 7.2 counts the iterations that it can do while the processor's clock ticks; where that
    # is coarse, about half of the tries end with “Unable to get accurate CPU usage”.
    wait_for(lambda: not subprocess.run(create, check=False).returncode, "a LUKS container", 60)
    convert = ["qemu-img", "convert", "-f", "raw", "-O", "qcow2"]
    subprocess.run([*convert, raw, image], check=True)
    return image


class Trial:
    """What runs on a controller with witnesses, and everything that was written down there."""

    def __init__(self, controller: Controller, folder: Path) -> None:
        self.controller, self.noted = controller, folder / "noted"
        self.printed: dict[str, bytes] = {}
        self.seen: set[bytes] = set()

    def command(self, what: str, *words: str) -> int:
        done = self.controller.run("tradewind", *words)
        self.printed[f"printed by {what}"] = (done.stdout + done.stderr).encode()
        return done.returncode

    def add_endpoint(self, name: str, host: LabHost, key: Path, port: int, *more: str) -> int:
        reached = ("--host", host.address, "--username", host.username, "--port", str(port))
        pinned = ("--host-key", host.host_key, "--key", str(key))
        return self.command(f"adding {name}", "endpoint", "add", name, *reached, *pinned, *more)

    def run(self, deployment: str, **request: str) -> str:
        parameters = {"request": {"machine": MACHINE, "destination": site.DESTINATION, **request}}
        return self.controller.start_run(deployment, parameters)

    def state_of(self, run: str) -> str:
        def end() -> str:
            state = self.controller.state(run)
            return state if state in OVER else ""

        return wait_for(end, "the run ends", 330)

    def secrets(self) -> list[str]:
        """All that the runs held in their hands, and what lets them in."""
        noted = map(json.loads, self.noted.read_text().splitlines())
        # The default of a setting of Prefect's, which could have a password in it.
        own = {str(secret) for secret in noted if not str(secret).startswith("sqlite+")}
        _, _, word = self.controller.auth.partition(":")
        return [*own - {self.controller.auth}, word, self.controller.database.password]

    def places(self, lab: Lab) -> dict[str, bytes]:
        database = self.controller.database
        return {
            **tables_of(database.dump("prefect"), "prefect"),
            **tables_of(database.dump("ledger"), "ledger"),
            **files_below(self.controller.folder, "controller"),
            **self.printed,
            "command lines": b"\n".join(sorted(self.seen)),
            **logs_of(lab.source),
            **logs_of(lab.destination),
        }


def logs_of(host: LabHost) -> dict[str, bytes]:
    folder = guests.inside(namespaces.plan_of(host), "/var/log/libvirt")
    return files_below(folder, f"logs of {host.name}")


@pytest.fixture
def trial(
    controller: Controller, the_lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Trial]:
    """Endpoints with the right key, with a stranger's, and at a port where nobody listens."""
    made = Trial(controller, tmp_path)
    talkative = {
        "PYTHONPATH": str(Path(__file__).parent / "witness"),
        "TRADEWIND_WITNESS": str(made.noted),
        "PREFECT_LOGGING_LEVEL": "DEBUG",
    }
    monkeypatch.setattr(controller, "more", talkative)
    stranger = tmp_path / "stranger"
    stranger.write_text(private_key())
    with command_lines() as made.seen:
        for host, name in ((the_lab.source, site.SOURCE), (the_lab.destination, site.DESTINATION)):
            assert made.add_endpoint(name, host, host.key_path, 22) == 0
        ours = the_lab.source.key_path
        for name, key, port in (("stranger", stranger, 22), ("deaf", ours, 1)):
            assert made.add_endpoint(name, the_lab.source, key, port) == 1
            assert made.add_endpoint(name, the_lab.source, key, port, "--no-check") == 0
        yield made


def store_secrets(controller: Controller) -> None:
    """Store the passphrase as Prefect's UI does."""
    kind = controller.call("GET", "/block_types/slug/tradewind-guest-secrets")["id"]
    chosen = {"block_schemas": {"block_type_id": {"any_": [kind]}}}
    (schema,) = controller.call("POST", "/block_schemas/filter", chosen)
    ids = {"block_type_id": kind, "block_schema_id": schema["id"]}
    body = {"name": "vault", "data": {"passphrase": PASSPHRASE}, **ids}
    controller.call("POST", "/block_documents/", body)


@pytest.mark.slow
def test_no_secret_is_written_down(trial: Trial, the_lab: Lab, image: Path) -> None:
    controller = trial.controller
    ledger = controller.database.url("psycopg", "ledger")
    chosen = {**site.options(), "sqlite_database_file": ledger}
    assignments = [f"{name}={value}" for name, value in chosen.items()]
    assert trial.command("options", "options", "set", *assignments) == 0
    store_secrets(controller)
    hosts.define_shut_off(the_lab.source, MACHINE, image)
    with controller.worker("witnessed"):
        run = trial.run("transfer/transfer", source=site.SOURCE)
        refused = trial.run("transfer/transfer", source="stranger")
        for name in ("stranger", "deaf"):
            words = ("transfer", "run", MACHINE, "--from", name, "--to", site.DESTINATION)
            assert trial.command(f"transfer from {name}", *words) == 1
        assert (trial.state_of(run), trial.state_of(refused)) == ("Completed", "Failed")
        deployed = trial.run("deploy/deploy", source=site.SOURCE, guest_secrets="vault")
        assert trial.state_of(deployed) == "Failed"
        assert trial.command("status", "status") == 0
    end = controller.call("GET", f"/flow_runs/{deployed}")["state"]["message"]
    assert "no operating system" in end, end
    assert "stays closed" not in end, end
    places, held = trial.places(the_lab), trial.secrets()
    print(f"\n{len(held)} secrets, {len(places)} places,", end=" ")
    print(f"{sum(map(len, places.values())) >> 20} MiB: tables, files, logs, what was printed")
    assert places_with(places, MACHINE) >= TALKS_OF_IT
    assert places_with(places, "no operating system") >= {"prefect.flow_run_state", "prefect.log"}
    assert places_with(places, site.SOURCE) >= {"prefect.block_document"}
    assert leaks(places, held) == []


def test_no_key_is_in_what_the_labs_server_keeps(tradewind: Tradewind, the_lab: Lab) -> None:
    """The server that the other live tests use, on SQLite: its database, its logs, the ledger."""
    listed = tradewind.run("endpoint", "list")
    assert listed.status == 0, listed.stderr[-2000:]
    places = files_below(settings.state_folder / "prefect", "Prefect")
    places |= {"ledger": settings.ledger_file.read_bytes()} if settings.ledger_file.exists() else {}
    assert "Prefect/prefect.db" in places_with(places, site.SOURCE)
    keys = [host.key_path.read_text() for host in (the_lab.source, the_lab.destination)]
    assert leaks({**places, "printed": listed.stdout.encode()}, keys) == []
    assert site.SOURCE in listed.stdout
