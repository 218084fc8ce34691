# SPDX-License-Identifier: Apache-2.0
"""Puts the played parts of a stage where the tasks look for the real ones."""

from collections.abc import Callable
from typing import Any

import pytest

import blocks.endpoint
import tasks.attempts
import tasks.deploy.machines
import tasks.deploy.morphing
import tasks.environment
import tasks.move.outage_end
import tasks.move.unfinished
import tasks.operate.leftovers
import tasks.operate.worker_images
import tasks.transfer.streams
import tasks.transfer.workers
from blocks.provider_options import ProviderOptionsBlock
from tests.fakes.flow_stage import GUEST, Stage
from tradewind.host import storage
from tradewind.host.boot import boot_proof, evidence, systemd_state
from tradewind.host.domain import disks, domains, overlays
from tradewind.host.storage import witness
from tradewind.ledger import Ledger, replicas
from tradewind.model.guest import MountedGuest
from tradewind.model.options import ProviderOptions
from tradewind.model.storage import Volume
from tradewind.morphing import mount, plan
from tradewind.morphing.linux import stacks
from tradewind.remote import shell
from tradewind.worker import lifecycle

CONNECTING = (
    tasks.environment,
    tasks.move.outage_end,
    tasks.operate.leftovers,
    tasks.operate.worker_images,
)


def set_the_stage(stage: Stage, patch: pytest.MonkeyPatch) -> None:
    """Put the played parts and the watchers in their places."""
    for module in CONNECTING:
        patch.setattr(module, "connect", stage.connect)
    for listening in (tasks.transfer.workers, tasks.deploy.machines, tasks.move.unfinished):
        patch.setattr(listening, "listening", stage.listen)
    for opening in ("connect_to_worker", "connect_to_host"):
        patch.setattr(shell, opening, stage.open_shell)
    patch.setattr(blocks.endpoint, "LibvirtSource", lambda _access, _care: stage.source)
    patch.setattr(lifecycle, "wait_until_reachable", stage.reachable)
    patch.setattr(tasks.transfer.streams, "launch", stage.launch)
    patch.setattr(tasks.transfer.streams, "copy_disks", stage.copy)
    patch.setattr(tasks.deploy.morphing, "wait_for_devices", lambda *_: None)
    patch.setattr(tasks.deploy.morphing, "inspect", stage.answering("inspect guest", GUEST))
    patch.setattr(mount, "mount", stage.answering("mount", MountedGuest(root="/mnt")))
    patch.setattr(mount, "unmount", stage.answering("unmount"))
    patch.setattr(stacks, "close", stage.answering("close guest"))
    patch.setattr(plan, "perform", stage.morph)
    patch.setattr(boot_proof, "prove_boot", stage.prove)
    patch.setattr(systemd_state, "read", lambda *_, **__: stage.systemd)
    patch.setenv(evidence.VARIABLE, str(stage.evidence))
    patch.setattr(tasks.attempts, "PAUSE", 0.0)

    def own_options(block: ProviderOptionsBlock) -> ProviderOptions:
        return stage.own_options(block)

    patch.setattr(ProviderOptionsBlock, "options", own_options)
    _watch(stage, patch)


def _watch(stage: Stage, patch: pytest.MonkeyPatch) -> None:
    watched: list[tuple[Any, str, Callable[..., str]]] = [
        (storage, "create_volume", _created),
        (storage, "grow_volume", lambda _c, volume: f"grow {disk_of(volume)}"),
        (storage, "clone_volume", lambda _c, volume, _to: f"clone {disk_of(volume)}"),
        (overlays, "make", lambda _c, volume, _to: f"overlay {disk_of(volume)}"),
        (overlays, "commit", lambda _c, _w, layer, _to: f"commit {layer.disk_id}"),
        (lifecycle, "start", lambda *arguments: f"start worker {arguments[3].purpose}"),
        (lifecycle, "discard", lambda _c, _pool, label: f"discard worker {label.purpose}"),
        (disks, "attach_volume", lambda _c, _name, volume: f"attach {volume.disk_id}"),
        (disks, "detach_disk", lambda *_: "detach"),
        (domains, "define", lambda *_: "define"),
        (domains, "start", lambda _c, name: f"start {name}"),
        (domains, "stop", lambda _c, name: f"stop {name}"),
        (domains, "write_label", lambda _c, _name, label: f"label {label.state}"),
        (Ledger, "begin", lambda _l, _transfer, kind, *_: f"begin {kind}"),
        (Ledger, "complete", lambda *_: "record replica"),
        (Ledger, "finish", lambda _l, _run, state, *_: f"finish {state}"),
        (Ledger, "mark_changed", lambda *_: "replica changes"),
        (replicas, "give_away", lambda *_: "give replica away"),
    ]
    for owner, name, line in watched:
        patch.setattr(owner, name, stage.watched(getattr(owner, name), line))


def _created(_connection: Any, volume: Volume) -> str:
    """Say what is made, but for witnesses: those belong to their volumes."""
    return "" if volume.name.endswith(witness.SUFFIX) else f"create {disk_of(volume)}"


def disk_of(volume: Volume) -> str:
    """Name the disk of a replica's volume, or the volume itself."""
    return volume.name.rpartition("-")[2].partition(".")[0]
