# SPDX-License-Identifier: Apache-2.0
"""Puts the played parts of a stage where the tasks look for the real ones."""

from collections.abc import Callable
from typing import Any

import pytest

import tasks.attempts
import tasks.cutover
import tasks.deployments
import tasks.executions
import tasks.images
import tasks.leftovers
import tasks.machines
import tasks.morphs
import tasks.preflights
import tasks.rehearsals
import tasks.removals
import tasks.site
import tasks.streams
import tasks.volumes
import tasks.workers
from tests.fakes.flow_stage import GUEST, Stage
from tradewind.host import boot, domains, evidence, overlays, storage, systemd_state
from tradewind.ledger import Ledger
from tradewind.model.guest import MountedGuest
from tradewind.model.storage import Volume
from tradewind.morphing import mount, plan, stacks
from tradewind.remote import shell
from tradewind.worker import lifecycle

CONNECTING = (
    tasks.cutover,
    tasks.deployments,
    tasks.executions,
    tasks.images,
    tasks.leftovers,
    tasks.machines,
    tasks.preflights,
    tasks.rehearsals,
    tasks.removals,
    tasks.site,
    tasks.volumes,
    tasks.workers,
)


def set_the_stage(stage: Stage, patch: pytest.MonkeyPatch) -> None:
    """Put the played parts and the watchers in their places."""
    for module in CONNECTING:
        patch.setattr(module, "connect", stage.connect)
    for listening in (tasks.workers, tasks.machines):
        patch.setattr(listening, "listening", stage.listen)
    for opening in ("connect_to_worker", "connect_to_host"):
        patch.setattr(shell, opening, stage.open_shell)
    patch.setattr(tasks.site, "LibvirtSource", lambda _access: stage.source)
    patch.setattr(lifecycle, "wait_until_reachable", stage.reachable)
    patch.setattr(tasks.streams, "launch", stage.launch)
    patch.setattr(tasks.streams, "copy_disks", stage.copy)
    patch.setattr(tasks.morphs, "wait_for_devices", lambda *_: None)
    patch.setattr(tasks.morphs, "inspect", stage.answering("inspect guest", GUEST))
    patch.setattr(mount, "mount", stage.answering("mount", MountedGuest(root="/mnt")))
    patch.setattr(mount, "unmount", stage.answering("unmount"))
    patch.setattr(stacks, "close", stage.answering("close guest"))
    patch.setattr(plan, "perform", stage.morph)
    patch.setattr(boot, "prove_boot", stage.prove)
    patch.setattr(systemd_state, "read", lambda *_, **__: stage.systemd)
    patch.setenv(evidence.VARIABLE, str(stage.evidence))
    patch.setattr(tasks.attempts, "PAUSE", 0.0)
    _watch(stage, patch)


def _watch(stage: Stage, patch: pytest.MonkeyPatch) -> None:
    watched: list[tuple[Any, str, Callable[..., str]]] = [
        (storage, "create_volume", lambda _c, volume: f"create {disk_of(volume)}"),
        (storage, "grow_volume", lambda _c, volume: f"grow {disk_of(volume)}"),
        (storage, "clone_volume", lambda _c, volume, _to: f"clone {disk_of(volume)}"),
        (overlays, "make", lambda _c, volume, _to: f"overlay {disk_of(volume)}"),
        (overlays, "commit", lambda _c, _w, layer, _to: f"commit {layer.disk_id}"),
        (lifecycle, "start", lambda *arguments: f"start worker {arguments[3].purpose}"),
        (lifecycle, "discard", lambda _c, _pool, label: f"discard worker {label.purpose}"),
        (domains, "attach_volume", lambda _c, _name, volume: f"attach {volume.disk_id}"),
        (domains, "detach_disk", lambda *_: "detach"),
        (domains, "define", lambda *_: "define"),
        (domains, "start", lambda _c, name: f"start {name}"),
        (domains, "stop", lambda _c, name: f"stop {name}"),
        (domains, "write_label", lambda _c, _name, label: f"label {label.state}"),
        (Ledger, "begin", lambda _l, _transfer, kind, *_: f"begin {kind}"),
        (Ledger, "complete", lambda *_: "record replica"),
        (Ledger, "finish", lambda _l, _run, state, *_: f"finish {state}"),
        (Ledger, "mark_changed", lambda *_: "replica changes"),
        (Ledger, "give_away", lambda *_: "give replica away"),
    ]
    for owner, name, line in watched:
        patch.setattr(owner, name, stage.watched(getattr(owner, name), line))


def disk_of(volume: Volume) -> str:
    """Name the disk of a replica's volume, or the volume itself."""
    return volume.name.rpartition("-")[2].partition(".")[0]
