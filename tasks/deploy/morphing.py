# SPDX-License-Identifier: Apache-2.0
"""Steps that adapt the guest's operating system, each change its own task."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from blocks.guest_secrets import GuestSecrets
from blocks.loading import load_block
from tasks.deploy.scripts import (
    LoadedScripts,
    leave_for_first_boot,
    run_after_mount,
    run_before_mount,
)
from tasks.step import step
from tradewind.cleanup import cleanup_on_exit
from tradewind.model.deploy_options import DeployOptions
from tradewind.model.guest import GuestOS, MorphOptions, MountedGuest, StepReport
from tradewind.model.guest_keys import GuestKeys
from tradewind.model.host import Worker
from tradewind.model.machine import VirtualMachine
from tradewind.model.options import ProviderOptions
from tradewind.model.osinfo import osinfo_id
from tradewind.model.report import Morphed
from tradewind.model.storage import ReplicaVolume
from tradewind.morphing import mount, plan
from tradewind.morphing.linux import stacks
from tradewind.morphing.linux.inspect import described, inspect
from tradewind.morphing.tree import RemoteGuestTree
from tradewind.ports import MorphStep
from tradewind.remote import shell
from tradewind.streaming.launch import wait_for_devices


@step("load-guest-secrets")
def load_guest_keys(deploy_options: DeployOptions) -> GuestKeys:
    """Load the block that opens the guest's encrypted disks, if one is named."""
    return guest_keys_of(deploy_options)


def guest_keys_of(deploy_options: DeployOptions) -> GuestKeys:
    """Read that block, within a step."""
    name = deploy_options.guest_secrets
    return load_block(GuestSecrets, name).guest_keys(name) if name else GuestKeys()


@step("inspect-guest-{vm.name}")
def _inspect_guest(
    worker: Worker,
    vm: VirtualMachine,
    volumes: Sequence[ReplicaVolume],
    deploy_options: DeployOptions,
    keys: GuestKeys,
) -> GuestOS:
    """Find the operating system on the attached disks, and open what it lies in."""
    with shell.connect_to_worker(worker) as remote:
        wait_for_devices(remote, volumes)
        return inspect(remote, _serials(volumes), described(vm, deploy_options.root_device, keys))


@step("close-guest")
def _close(worker: Worker, volumes: Sequence[ReplicaVolume]) -> None:
    """Close the volume groups, containers and arrays on the attached disks."""
    with shell.connect_to_worker(worker) as remote:
        stacks.close(remote, _serials(volumes))


def _serials(volumes: Sequence[ReplicaVolume]) -> list[str]:
    return [volume.serial for volume in volumes]


@contextmanager
def _inspected(
    worker: Worker,
    vm: VirtualMachine,
    volumes: Sequence[ReplicaVolume],
    deploy_options: DeployOptions,
    keys: GuestKeys,
) -> Iterator[GuestOS]:
    """Lend the guest's open disks: what stays open could not be detached."""
    with cleanup_on_exit(lambda: _close(worker, volumes), what="the guest's open disks"):
        yield _inspect_guest(worker, vm, volumes, deploy_options, keys)


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
    """Lend the guest's root."""
    with cleanup_on_exit(lambda: _unmount(worker), what="the guest's mounted disks"):
        yield _mount(worker, os)


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


@dataclass(frozen=True, slots=True)
class MorphRequest:
    """What is wanted of a guest, and what it takes: options, keys and the operator's scripts."""

    options: ProviderOptions
    deploy_options: DeployOptions
    keys: GuestKeys
    scripts: LoadedScripts


def morph_guest(
    worker: Worker,
    machine: VirtualMachine,
    volumes: Sequence[ReplicaVolume],
    wanted: MorphRequest,
) -> Morphed:
    """Find the guest and make every change that it needs, in order; the UI shows each."""
    options, deploy_options = wanted.options, wanted.deploy_options
    chosen = MorphOptions(
        set_dhcp=options.set_dhcp,
        retain_user_credentials=options.retain_user_credentials,
        use_config_drive=options.use_config_drive,
        packages_folder=deploy_options.packages_folder,
        allow_unknown_os=deploy_options.allow_unknown_os,
    )
    with _inspected(worker, machine, volumes, deploy_options, wanted.keys) as os:
        steps = plan.steps_for(os, chosen)
        own = run_before_mount(worker, os, wanted.scripts, volumes)
        with mounted(worker, os) as guest:
            done = [_morph(worker, guest, os, chosen, morph, plan.name(morph)) for morph in steps]
            own += run_after_mount(worker, os, wanted.scripts, guest)
            first = leave_for_first_boot(worker, os, wanted.scripts, guest)
    return Morphed(
        guest=os.pretty_name,
        steps=tuple(done),
        scripts=tuple(own),
        first_boot=first,
        notes=(*plan.warnings(os), *os.notes),
        os_id=osinfo_id(os.id, os.version),
        worker_seconds_to_ssh=worker.seconds_to_ssh,
    )
