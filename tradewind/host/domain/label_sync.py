# SPDX-License-Identifier: Apache-2.0
"""Bring the ledger up to what a host's labels say of machines: a kill between the two leaves a gap.

A machine that is finished, or kept for a person, is first written down and then labelled. So
whatever is killed in between, the ledger says that the machine, and the volumes that it has, belong
to somebody. A label that the ledger does not know of is older than the ledger, which was restored
then, or was written by a version that labelled first.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

import libvirt

from tradewind.domainxml.locations import normal_path
from tradewind.errors import NotFoundError, TradewindError
from tradewind.host import storage
from tradewind.host.domain import domains
from tradewind.host.storage import volume_users, witness
from tradewind.ledger import Ledger, kept
from tradewind.model.ledger import Kept, Life
from tradewind.model.run import Label, LabelState, Purpose, Run
from tradewind.model.storage import ReplicaVolume, VolumePlan, WitnessState

_KILLED = (
    "its deployment failed after the machine was finished, or died before that was written down:"
    " see whether it is as it should be"
)


def settle(connection: libvirt.virConnect, ledger: Ledger) -> tuple[str, ...]:
    """Write down what finished machines of this host have, where the ledger missed it.

    A run that failed or died after its machine was finished is kept for a person. A run that the
    ledger does not know (it is older) is left as it is, but the disks are the machine's.
    """
    finished = [
        (domain.name(), label)
        for domain in connection.listAllDomains()
        if (label := domains.read_label(domain)) and _is_finished(label)
    ]
    missed = [(name, label) for name, label in finished if _is_missed(ledger, label)]
    if not missed:
        return ()
    uses = volume_users.survey(connection)
    return tuple(
        note for name, label in missed for note in _settle(connection, ledger, uses, name, label)
    )


def keep(
    connection: libvirt.virConnect, ledger: Ledger, run: Run, machine: Kept, *, with_replica: bool
) -> None:
    """Leave a machine to a person: no sweep removes it, nor writes to what it has."""
    replica = ledger.volumes(run.transfer) if with_replica else []
    kept.keep(ledger, machine, [each.disk_id for each in replica])
    try:
        finished = run.label(Purpose.MACHINE, LabelState.FINISHED)
        domains.write_label(connection, machine.domain, finished)
    except BaseException:
        kept.withdraw(ledger, machine, [witness.doubtful(each) for each in replica])
        raise
    hand_over(connection, run, replica)


def hand_over(
    connection: libvirt.virConnect, run: Run, replica: Sequence[ReplicaVolume]
) -> tuple[str, ...]:
    """Let volumes say that they belong to a machine; say which could not be told.

    It is for a ledger older than this moment. So a failure of it changes nothing for this one.
    """
    failed = []
    for each in replica:
        try:
            witness.write(connection, run, each, WitnessState.GIVEN, _nowhere)
        except (TradewindError, libvirt.libvirtError) as error:
            failed.append(f"the witness of {each.volume.name} was not written: {error}")
    return tuple(failed)


def unlearn(ledger: Ledger, transfer_id: str, plan: VolumePlan) -> None:
    """Forget the volumes that a plan counts out, and what was known of those that it doubts."""
    for disk_id in plan.forget:
        ledger.forget_volume(transfer_id, disk_id)
    there = ledger.volumes(transfer_id)
    doubted = [witness.doubtful(each) for each in there if each.disk_id in plan.doubt]
    ledger.plan_volumes(transfer_id, doubted)


def forget_gone(connection: libvirt.virConnect, ledger: Ledger, destination: str) -> None:
    """Forget kept machines of this host that somebody has removed."""
    for machine in kept.all_kept(ledger):
        here = machine.destination == destination
        if here and domains.find_domain(connection, machine.domain) is None:
            kept.accept(ledger, machine.run)


def _is_finished(label: Label) -> bool:
    return label.state is LabelState.FINISHED and label.purpose is Purpose.MACHINE


def _is_missed(ledger: Ledger, label: Label) -> bool:
    life = ledger.life_of(label.run)
    # One of another controller's is neither known, nor is there a replica that it could have.
    return life is Life.DEAD or (life is None and bool(ledger.volumes(label.transfer)))


def _settle(
    connection: libvirt.virConnect,
    ledger: Ledger,
    uses: volume_users.VolumeUsers,
    name: str,
    label: Label,
) -> Iterator[str]:
    taken = [
        each
        for each in ledger.volumes(label.transfer)
        if _has(uses, name, storage.find_volume(connection, each.volume.pool, each.volume.name))
    ]
    if ledger.life_of(label.run) is not None:
        machine = Kept(
            run=label.run,
            transfer=label.transfer,
            domain=name,
            destination=kept.destination_of(ledger, label.transfer),
            since=datetime.now(UTC),
            why=_KILLED,
        )
        kept.keep(ledger, machine, [each.disk_id for each in taken])
        yield f"machine {name} is kept: {_KILLED} (tradewind kept list)"
    elif taken:
        kept.give(ledger, label.transfer, [each.disk_id for each in taken])
        yield (
            f"machine {name} was deployed by run {label.run}, which this ledger does not know (it"
            " is older); the replica's volumes are its own"
        )
    run = Run(id=label.run, transfer=label.transfer, begun=label.created)
    yield from hand_over(connection, run, taken)


def _has(uses: volume_users.VolumeUsers, name: str, volume: libvirt.virStorageVol | None) -> bool:
    if volume is None:
        return False
    (user,) = (user for user in uses.users if user.name == name)
    return normal_path(volume.path()) in uses.reach(user)


def _nowhere() -> str:
    raise NotFoundError("no witness is made for a volume that is given away and had none")
