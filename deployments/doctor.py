# SPDX-License-Identifier: Apache-2.0
"""Look at everything that a support person would ask for; nothing is changed.

A look that fails is a finding itself: the others go on. No key and no password is read out.
"""

import contextlib
import io
import json
import platform
import shutil
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Final

import libvirt

from blocks.endpoint import LibvirtEndpoint
from blocks.loading import block_names, load_block
from blocks.provider_options import ProviderOptionsBlock
from deployments import server, work_pool, workers
from tradewind.errors import TradewindError
from tradewind.host.connection import connect
from tradewind.host.facts import survey
from tradewind.host.validate import findings, problems, route_findings
from tradewind.ledger import kept, open_ledger
from tradewind.ledger.database import seen, without_password
from tradewind.model.finding import Finding, error, note, warning
from tradewind.model.options import ProviderOptions
from tradewind.model.record import Record
from tradewind.worker import preflight as worker_preflight

_PACKAGES: Final = ("tradewind", "prefect", "libvirt-python", "paramiko", "pydantic")
# Programs of the controller, and what is missing without them.
_NEEDED: Final = {"ssh": "no host can be reached", "qemu-img": "no disk image can be read"}
_USEFUL: Final = {
    "qemu-nbd": "no disk image can be a source",
    "bwrap": "disk images are read without walls around QEMU (docs/security.md)",
}


class ExaminedArea(Record):
    """What was seen of one area; nothing when all is well."""

    area: str
    findings: tuple[Finding, ...] = ()


class DoctorReport(Record):
    """Versions by the names of what has them, and what was seen, area by area."""

    versions: dict[str, str]
    looked: tuple[ExaminedArea, ...]

    @property
    def healthy(self) -> bool:
        """Whether nothing was seen that keeps the work from being done."""
        return not any(found.severity == "error" for each in self.looked for found in each.findings)


def examine(options: str) -> DoctorReport:
    """Look at the controller, Prefect's server, the ledger and every enabled host."""
    areas: list[tuple[str, Callable[[], Iterator[Finding]]]] = [
        ("controller", _controller),
        ("Prefect's server", _server),
        ("options and ledger", lambda: _ledger(options)),
    ]
    looked = [_look(area, look) for area, look in areas]
    return DoctorReport(versions=_versions(), looked=(*looked, *_hosts(options)))


def _look(area: str, look: Callable[[], Iterator[Finding]]) -> ExaminedArea:
    found: list[Finding] = []
    try:
        with server.told_apart():
            found += look()
    except TradewindError as failure:
        found += problems(failure, f"tradewind doctor, looking at {area}")
    return ExaminedArea(area=area, findings=tuple(found))


def _versions() -> dict[str, str]:
    number = libvirt.getVersion()
    client = f"{number // 1_000_000}.{number // 1000 % 1000}.{number % 1000}"
    return {
        "python": platform.python_version(),
        **{name: version(name) for name in _PACKAGES},
        "libvirt client": client,
        "qemu-img": _first_line("qemu-img", "--version"),
        "ssh": _first_line("ssh", "-V"),
        "system": platform.platform(),
    }


def _first_line(*argv: str) -> str:
    """Ask a program for its version; ssh(1) tells it on its standard error."""
    if shutil.which(argv[0]) is None:
        return "not there"
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=10)
    return next(iter((done.stdout or done.stderr).splitlines()), "says nothing")


def _controller() -> Iterator[Finding]:
    remedy = "install it: sudo deployments/install-system-packages"
    for needed, programs in ((True, _NEEDED), (False, _USEFUL)):
        for name, lacking in programs.items():
            if shutil.which(name) is None:
                kind = error if needed else warning
                yield kind(f"{name} is not installed: {lacking}", remedy, f"no {name} in PATH")


def _server() -> Iterator[Finding]:
    with work_pool.pool() as found:
        for each in (*server.look_at(found.client), workers.missing_worker()):
            if each is not None:
                yield warning(each.what, each.remedy, "settings and work pool of the server")
        for left in found.abandoned():
            yield warning(
                f"run {left.name} was taken by a worker that ended before it began",
                f"begin it anew, and remove it: prefect flow-run delete {left.id}",
                "a run that is pending for minutes, without a process",
            )


def _ledger(options: str) -> Iterator[Finding]:
    place = load_block(ProviderOptionsBlock, options).options().sqlite_database_file
    with open_ledger(seen(place)) as ledger:
        for outage in ledger.outages.open():
            yield warning(
                f"the outage of {outage.machine} has not ended since {outage.since:%Y-%m-%d %H:%M}",
                f"tradewind move resume {outage.machine}, or move rollback {outage.machine}",
                "the ledger's outages",
            )
        for machine in kept.all_kept(ledger):
            yield note(
                f"{machine.domain} on {machine.destination} waits for a person: {machine.why}",
                "tradewind kept list",
                "the ledger's kept machines",
            )


def _hosts(options: str) -> tuple[ExaminedArea, ...]:
    """Look at each host; what Prefect's server does not tell was a finding of its own already."""
    with contextlib.suppress(TradewindError), server.told_apart():
        names = block_names(LibvirtEndpoint)
        stored = load_block(ProviderOptionsBlock, options).options()
        return tuple(_look(f"host {name}", partial(_host, name, stored)) for name in names)
    return ()


def _host(name: str, options: ProviderOptions) -> Iterator[Finding]:
    endpoint = load_block(LibvirtEndpoint, name)
    if not endpoint.enabled:
        yield note("it is disabled, and not looked at", f"tradewind endpoint enable {name}", name)
        return
    access = endpoint.access(options.ssh_key_path)
    with connect(access) as connection:
        yield from findings(connection, survey(connection))
        yield from worker_preflight.findings(connection, options, "linux")
    yield from route_findings(access)


def bundle(report: DoctorReport, options: str, file: Path) -> None:
    """Write what a support person asks for into a .tar.gz; no key and no password is in it."""
    contents = {"doctor.json": report.model_dump_json(indent=2)}
    with contextlib.suppress(TradewindError), server.told_apart():
        contents |= _stored(options)
    with tarfile.open(file, "x:gz") as archive:
        for name, text in contents.items():
            entry = tarfile.TarInfo(f"tradewind-doctor/{name}")
            entry.size = len(text.encode())
            archive.addfile(entry, io.BytesIO(text.encode()))


def _stored(options: str) -> dict[str, str]:
    chosen = load_block(ProviderOptionsBlock, options).options()
    shown = chosen.model_copy(
        update={"sqlite_database_file": without_password(chosen.sqlite_database_file)}
    )
    hidden = {"private_key_base64"}
    hosts = {
        name: load_block(LibvirtEndpoint, name).model_dump(mode="json", exclude=hidden)
        for name in block_names(LibvirtEndpoint)
    }
    with open_ledger(seen(chosen.sqlite_database_file)) as ledger:
        replicas = [each.model_dump(mode="json") for each in ledger.replicas()]
    return {
        "options.json": shown.model_dump_json(indent=2),
        "endpoints.json": json.dumps(hosts, indent=2),
        "replicas.json": json.dumps(replicas, indent=2),
    }
