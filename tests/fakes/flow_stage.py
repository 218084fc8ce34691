# SPDX-License-Identifier: Apache-2.0
"""A stage for whole flows: real blocks, ledger and pools; the far ends are played and noted.

Libvirt is its own test driver (tests/fakes/libvirt_fakes.py). Played are only: SSH, the worker's
boot, the stream, the guest's inspection and adaption, and the boot of the machine.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import libvirt
from lxml import etree
from prefect.context import TaskRunContext
from pydantic import SecretStr

from blocks.provider_options import ProviderOptionsBlock
from tests.fakes.libvirt_fakes import FakeConnection
from tests.fakes.memory import MemorySource
from tests.fakes.stage_blocks import Blocks, private_key
from tradewind import ending
from tradewind.host import storage
from tradewind.host.boot.console import Console
from tradewind.host.connection import translate
from tradewind.host.domain import domains
from tradewind.host.storage import naming, volume_sync, witness
from tradewind.ledger import Ledger, open_ledger
from tradewind.model.guest import Family, GuestOS, Outcome, StepReport
from tradewind.model.host import HostAccess, HttpsAccess, Worker
from tradewind.model.ledger import RunKind
from tradewind.model.machine import Nic, PowerState, VirtualMachine
from tradewind.model.migrate import ShutDown
from tradewind.model.options import ProviderOptions
from tradewind.model.progress import DiskResult
from tradewind.model.proof import BootEvidence, BootProof, SystemdState
from tradewind.model.requests import DeployRequest, TransferRequest
from tradewind.model.run import Label, Run
from tradewind.model.source import SourceState
from tradewind.model.storage import Checkpoint, Volume, WitnessState
from tradewind.morphing import plan
from tradewind.ports import Completed, Snapshot
from tradewind.streaming.copy_thread import CopyJob
from tradewind.units import GiB, MiB

GUEST = GuestOS(
    family=Family.DEBIAN,
    id="debian",
    version="12",
    pretty_name="Debian GNU/Linux 12",
    mounts=(),
    kernels=("6.1.0-28-amd64",),
)
REAL_OPTIONS = ProviderOptionsBlock.options
NIC = Nic(mac="52:54:00:1a:2b:3c", network="office")


class Shell:
    """A Remote that only notes."""

    def __init__(self, entries: Sequence[str]) -> None:
        self.entries = entries
        self.ran: list[tuple[str, ...]] = []

    def run(
        self, argv: Sequence[str], *, stdin: bytes = b"", timeout: float = 60, check: bool = True
    ) -> Completed:
        self.ran.append(tuple(argv))
        return Completed(tuple(argv), 0, "\n".join(self.entries), "")

    def write(self, path: str, content: bytes, mode: int = 0o600) -> None:
        raise AssertionError(path)


@dataclass
class Source(MemorySource):
    """A source with one NIC on each machine, which notes when a machine is frozen."""

    stage: "Stage | None" = None
    states: tuple[SourceState, ...] = ()

    def inspect(self, machine_id: str) -> VirtualMachine:
        power = PowerState.SHUT_OFF if machine_id in self.off else PowerState.RUNNING
        update = {"nics": (NIC,), "power": power, "states": self.states}
        return super().inspect(machine_id).model_copy(update=update)

    @contextmanager
    def snapshot(
        self,
        machine: VirtualMachine,
        run: Run,
        since: Checkpoint | None = None,
        *,
        track: bool = True,
    ) -> Iterator[Snapshot]:
        assert self.stage is not None
        self.stage.note(f"freeze {machine.name}")
        try:
            with super().snapshot(machine, run, since, track=track) as frozen:
                yield frozen
        finally:
            self.stage.note("thaw")

    def shut_down(self, machine: VirtualMachine, *, timeout: float, force: bool) -> ShutDown:
        assert self.stage is not None
        self.stage.note(f"shut down {machine.name}")
        self.stage.instead_of_shutdown()
        return super().shut_down(machine, timeout=timeout, force=force)

    def start(self, machine: VirtualMachine) -> None:
        assert self.stage is not None
        self.stage.note(f"start {machine.name} again")
        self.stage.instead_of_way_back()
        super().start(machine)


@dataclass
class Stage:
    """What the flows work on, and what they did, in order."""

    host: FakeConnection
    ledger_place: str
    endpoint: str
    options: str
    key: str
    worker_key: str
    diary: list[str] = field(default_factory=list)
    # The task runs that opened a connection, by the names that the UI shows.
    task_runs: list[str] = field(default_factory=list)
    source: Source = field(default_factory=lambda: Source({}))
    # What happens instead of the stream, of the proof of the boot, and so on.
    instead_of_stream: Callable[[], None] = lambda: None
    instead_of_morph: Callable[[], None] = lambda: None
    instead_of_proof: Callable[[], None] = lambda: None
    instead_of_shutdown: Callable[[], None] = lambda: None
    instead_of_way_back: Callable[[], None] = lambda: None
    shell: Shell = field(default_factory=lambda: Shell([]))
    systemd: SystemdState = field(default_factory=lambda: SystemdState(state="running"))

    @property
    def evidence(self) -> Path:
        """Where evidence of boots is kept."""
        return Path(self.ledger_place).parent / "evidence"

    def note(self, line: str) -> None:
        if line:
            self.diary.append(line)

    def transfer(self, **changes: Any) -> TransferRequest:
        return TransferRequest.model_validate(self._request(changes))

    def deploy(self, **changes: Any) -> DeployRequest:
        return DeployRequest.model_validate(
            self._request({"network_map": {"default": "lan"}, **changes})
        )

    def _request(self, changes: dict[str, Any]) -> dict[str, Any]:
        """Ask for web01; the blocks are the session's, but for the ledger (`own_options`)."""
        plain = {
            "machine": "web01",
            "source": self.endpoint,
            "destination": self.endpoint,
            "options": self.options,
        }
        return {**plain, **changes}

    def own_options(self, block: ProviderOptionsBlock) -> ProviderOptions:
        """Read a block of options; that of this stage names a ledger of its own.

        To store a block for each test would take seconds.
        """
        options = REAL_OPTIONS(block)
        if block._block_document_name != self.options:
            return options
        return options.model_copy(update={"sqlite_database_file": self.ledger_place})

    @contextmanager
    def ledger(self) -> Iterator[Ledger]:
        with open_ledger(self.ledger_place) as ledger:
            yield ledger

    def make_replica(self) -> None:
        """Leave what a transfer of web01 leaves: volumes, a checkpoint, and the ledger's words."""
        machine = self.source.inspect("web01")
        with self.ledger() as ledger:
            known = ledger.note_transfer(self.endpoint, self.endpoint, machine)
            run = ledger.begin(known, RunKind.EXECUTION)
            plan = volume_sync.plan_volumes(known.id, machine, [], lambda _disk: ("fast", "qcow2"))
            for new in plan.create:
                storage.create_volume(self.host, new.volume)
                fresh = naming.new_replica(known.id, new).model_copy(update={"blank": False})
                written = witness.opened(self.host, run, [fresh])
                ledger.plan_volumes(known.id, written)
                witness.write_all(self.host, run, written, WitnessState.COMPLETE, lambda: "images")
            with self.source.snapshot(machine, run) as frozen:
                pass
            ledger.complete(run, known, run.begun, frozen.checkpoint)
        self.diary.clear()

    def volumes(self) -> set[str]:
        """Name all volumes on the host, but for the witnesses of others."""
        return {name for name in self._volumes() if not name.endswith(witness.SUFFIX)}

    def witnesses(self) -> set[str]:
        """Name the volumes that have a witness beside them."""
        found = (name for name in self._volumes() if name.endswith(witness.SUFFIX))
        return {name.removesuffix(witness.SUFFIX) for name in found}

    def _volumes(self) -> list[str]:
        running = libvirt.VIR_CONNECT_LIST_STORAGE_POOLS_ACTIVE
        pools = self.host.listAllStoragePools(running)
        return [volume.name() for pool in pools for volume in pool.listAllVolumes()]

    def attached_paths(self) -> list[str]:
        """Name what is plugged into workers at the moment, as the host calls it."""
        documents = [xml for plugged in self.host.host.plugged.values() for xml in plugged]
        sources = [etree.fromstring(xml).find("source") for xml in documents]
        return [source.get("file", "") for source in sources if source is not None]

    def networks(self) -> set[str]:
        """Name all networks on the host."""
        return {network.name() for network in self.host.listAllNetworks()}

    def domains(self) -> set[str]:
        """Name all domains on the host."""
        return {domain.name() for domain in self.host.listAllDomains()}

    # The played parts

    @contextmanager
    def connect(self, access: HostAccess) -> Iterator[FakeConnection]:
        assert access.private_key.get_secret_value() == self.key
        self.note_task_run()
        try:
            yield self.host
        except libvirt.libvirtError as error:
            raise translate(error, access.host) from error

    @contextmanager
    def listen(self, access: HostAccess, domain: str) -> Iterator[Console]:
        domains.require_domain(self.host, domain)
        console = Console()
        console.feed(b"\x1b[1;1HGRUB loading.\r\nweb01 login: ")
        yield console

    @contextmanager
    def open_shell(self, _to: object) -> Iterator[Shell]:
        self.note_task_run()
        yield self.shell

    def note_task_run(self) -> None:
        if ending.has_begun():  # what is given back then is given back without Prefect
            return
        context = TaskRunContext.get()
        assert context is not None, "a door was opened outside of a step"
        self.task_runs.append(context.task_run.name)

    def reachable(
        self,
        _connection: object,
        _host: object,
        _spec: object,
        prepared: Any,
        label: Label,
        _console: object,
    ) -> Worker:
        self.note(f"worker answers {label.purpose}")
        return Worker(
            domain=prepared.names.domain,
            address="198.18.5.9",
            username="root",
            private_key=SecretStr(self.worker_key),
            host_key=prepared.host_key.public,
            purpose=label.purpose,
            run_id=label.run,
            seconds_to_ssh=12.5,
        )

    def launch(self, _remote: object, worker: Worker, *_: object) -> HttpsAccess:
        self.note("start writer")
        return HttpsAccess(
            address=worker.address,
            port=8677,
            ca_certificate="ca",
            client_certificate="certificate",
            client_key=SecretStr(self.worker_key),
            digest_key=SecretStr("00" * 32),
        )

    def copy(self, jobs: Sequence[CopyJob], *_: object) -> list[DiskResult]:
        targets = ", ".join(sorted({job.target for job in jobs}))
        self.note(f"stream {' '.join(job.disk_id for job in jobs)} ({targets})")
        self.instead_of_stream()
        return [
            DiskResult(
                disk_id=job.disk_id,
                capacity=job.capacity,
                read=job.capacity,
                sent=MiB,
                wire=MiB // 4,
                zeroed=0,
                same=0,
                verified=MiB,
                seconds=2.0,
            )
            for job in jobs
        ]

    def morph(self, step: Any, *_: object) -> StepReport:
        name = plan.name(step)
        self.note(f"morph {name}")
        self.instead_of_morph()
        outcome = Outcome(changed=True, summary="done")
        return StepReport(step=name, purpose="Why.", outcome=outcome, seconds=0.1)

    def prove(
        self, _connection: object, name: str, *_: object, agent_expected: bool, **__: object
    ) -> BootProof:
        self.note(f"prove {name} ({'agent' if agent_expected else 'no agent'} expected)")
        self.instead_of_proof()
        return BootProof(
            evidence=BootEvidence.AGENT, lines=("agent: Debian",), addresses=(), seconds=3
        )

    def answering(self, line: str, answer: object = None) -> Callable[..., Any]:
        """Make a part that notes a line and gives an answer."""

        def play(*_arguments: object, **_options: object) -> object:
            self.note(line)
            return answer

        return play

    def watched(self, real: Callable[..., Any], line: Callable[..., str]) -> Callable[..., Any]:
        """Let the real function work, and note it first."""

        def play(*arguments: Any, **options: Any) -> Any:
            self.note(line(*arguments))
            return real(*arguments, **options)

        return play


def build_stage(host: FakeConnection, folder: Path, blocks: Blocks) -> Stage:
    """Stage a worker image, and put one machine on the source."""
    stage = Stage(
        host=host,
        ledger_place=str(folder / "ledger.sqlite"),
        endpoint=blocks.endpoint,
        options=blocks.options,
        key=blocks.key,
        worker_key=private_key(),
    )
    image = Volume(pool="images", name="worker.qcow2", capacity=GiB, format="qcow2")
    storage.create_volume(host, image)
    stage.source = Source({"web01": {"sda": bytes(MiB), "sdb": bytes(2 * MiB)}}, stage=stage)
    return stage
