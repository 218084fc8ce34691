# SPDX-License-Identifier: Apache-2.0
"""Steps that adapt the guest's operating system, each change its own task."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from tasks.step import step
from tradewind.model.guest import GuestOS, MorphOptions, MountedGuest, StepReport
from tradewind.model.machine import VirtualMachine
from tradewind.model.options import ProviderOptions
from tradewind.model.report import Morphed
from tradewind.model.storage import ReplicaVolume
from tradewind.model.worker import Worker
from tradewind.morphing import mount, plan
from tradewind.morphing.inspect import inspect
from tradewind.morphing.tree import RemoteGuestTree
from tradewind.ports import MorphStep
from tradewind.remote import shell
from tradewind.streaming.launch import wait_for_devices


@step("inspect-guest-{machine.name}")
def _inspect(worker: Worker, machine: VirtualMachine, volumes: Sequence[ReplicaVolume]) -> GuestOS:
    """Find the operating system on the attached disks."""
    with shell.connect_to_worker(worker) as remote:
        wait_for_devices(remote, volumes)
        serials = [volume.serial for volume in volumes]
        return inspect(remote, serials, [nic.mac for nic in machine.nics])


@step("mount-guest")
def _mount(worker: Worker, os: GuestOS) -> MountedGuest:
    """Mount the guest's file systems in the worker."""
    with shell.connect_to_worker(worker) as remote:
        return mount.mount(remote, os)


@step("unmount-guest")
def _unmount(worker: Worker) -> None:
    """Put the guest's own files back and unmount it."""
    with shell.connect_to_worker(worker) as remote:
        mount.unmount(remote)


@contextmanager
def mounted(worker: Worker, os: GuestOS) -> Iterator[MountedGuest]:
    """Lend the guest's root. After a failure the worker ends, and its clone with it."""
    yield _mount(worker, os)
    _unmount(worker)


@step("morph-{name}", retries=0)
def _morph(
    worker: Worker,
    guest: MountedGuest,
    os: GuestOS,
    options: MorphOptions,
    morph: MorphStep,
    name: str,
) -> StepReport:
    """Make one change to the guest, and prove it."""
    with shell.connect_to_worker(worker) as remote:
        return plan.perform(morph, RemoteGuestTree(remote, guest.root), os, options)


def morph_guest(
    worker: Worker,
    machine: VirtualMachine,
    volumes: Sequence[ReplicaVolume],
    options: ProviderOptions,
) -> Morphed:
    """Find the guest and make every change that it needs, in order; the UI shows each."""
    os = _inspect(worker, machine, volumes)
    chosen = MorphOptions(
        set_dhcp=options.set_dhcp, retain_user_credentials=options.retain_user_credentials
    )
    steps = plan.steps_for(os, chosen)
    with mounted(worker, os) as guest:
        done = [_morph(worker, guest, os, chosen, morph, plan.name(morph)) for morph in steps]
    return Morphed(
        guest=os.pretty_name,
        steps=tuple(done),
        notes=os.notes,
        worker_seconds_to_ssh=worker.seconds_to_ssh,
    )
