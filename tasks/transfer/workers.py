# SPDX-License-Identifier: Apache-2.0
"""Steps that lend a worker on the destination host, and disks to it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from tasks.environment import DestinationContext, Environment
from tasks.step import step
from tradewind.cleanup import cleanup_on_exit
from tradewind.errors import CapacityError, WriterError
from tradewind.host import storage
from tradewind.host.boot.console import listening
from tradewind.host.domain import disks
from tradewind.model.host import Worker
from tradewind.model.run import Label
from tradewind.model.storage import ReplicaVolume
from tradewind.worker import lifecycle


@step("boot-{label.purpose}-worker", retries=1)
def _boot(env: Environment, surveyed: DestinationContext, label: Label) -> Worker:
    """Start a worker on the host and wait until it answers with its own key."""
    with env.connect() as connection:
        lifecycle.discard(connection, surveyed.worker.image_pool, label)
        prepared = lifecycle.start(connection, surveyed.worker, surveyed.facts, label)
        with listening(env.destination, prepared.names.domain) as console:
            return lifecycle.wait_until_reachable(
                connection, env.destination, surveyed.worker, prepared, label, console
            )


@step("discard-{label.purpose}-worker")
def _discard(env: Environment, surveyed: DestinationContext, label: Label) -> None:
    """End the worker and remove its overlay and its seed ISO."""
    with env.connect() as connection:
        lifecycle.discard(connection, surveyed.worker.image_pool, label)


@contextmanager
def worker_vm(env: Environment, surveyed: DestinationContext, label: Label) -> Iterator[Worker]:
    """Lend a worker: a temporary VM next to the volumes."""
    with cleanup_on_exit(lambda: _discard(env, surveyed, label), what=f"worker of run {label.run}"):
        yield _boot(env, surveyed, label)


@step("attach-{replica.volume.name}")
def _attach(env: Environment, worker: Worker, replica: ReplicaVolume) -> None:
    """Hot-attach one volume to the worker."""
    with env.connect() as connection:
        disks.attach_volume(connection, worker.domain, replica)


@step("detach-{replica.volume.name}")
def _detach(env: Environment, worker: Worker, replica: ReplicaVolume) -> None:
    """Detach one volume and wait until the worker let go of it."""
    with env.connect() as connection:
        disks.detach_disk(connection, worker.domain, replica.serial)


@step("look-for-full-pools")
def _find_full_pools(env: Environment, volumes: Sequence[ReplicaVolume]) -> tuple[str, ...]:
    """Name the pools of these volumes that have no room left: a guest hears only of an error."""
    with env.connect() as connection:
        return storage.full_pools(connection, {volume.volume.pool for volume in volumes})


@contextmanager
def attached(env: Environment, worker: Worker, volumes: Sequence[ReplicaVolume]) -> Iterator[None]:
    """Lend volumes to a worker.

    When the block fails they are not detached one by one: the worker is about to be ended, which
    lets go of them at once, and a broken worker would not answer to an unplug request.
    """
    for volume in volumes:
        _attach(env, worker, volume)
    try:
        yield
    except WriterError as error:
        if full := _find_full_pools(env, volumes):
            raise CapacityError(
                f"storage pool {' and '.join(full)} is full: {error.message}",
                "make room there, and run the transfer again: what arrived is not sent again",
            ) from error
        raise
    for volume in volumes:
        _detach(env, worker, volume)
