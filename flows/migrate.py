# SPDX-License-Identifier: Apache-2.0
"""Move a machine: replicate while it runs, ask, shut it down, send the rest, start it there."""

from prefect import flow

from flows.cut_over import cut_over
from flows.transfer import transfer
from tasks.deploy.morphing import load_guest_keys
from tasks.environment import load_environment, load_source, survey
from tasks.move.cutover import Cutover, approach, check_target, migrate_report, refuse_unfinished
from tasks.move.outage_end import restart_source_on_failure
from tasks.operate.announcements import announced
from tasks.publish import publish_migration, publish_transfer
from tasks.transfer.sources import inspect_machine, require_movable, retire_checkpoints
from tradewind.model.migrate import MigrateReport, MigrateRequest


@announced
@flow(flow_run_name="migrate-{request.transfer.machine}")
def migrate(request: MigrateRequest) -> MigrateReport:
    """Move a machine with an outage of shutdown, last changes, and deployment."""
    env = load_environment(request.transfer)
    refuse_unfinished(env, request)
    source = load_source(request.transfer, env.options)
    surveyed = survey(env, 0)
    load_guest_keys(request.deploy_options)  # a name that nothing has is refused before the outage
    machine = inspect_machine(source, request.machine)
    require_movable(machine)
    check_target(env, request, machine, surveyed)
    near = approach(request, transfer)

    # Days may have passed, on both sides.
    machine = inspect_machine(source, request.machine)
    require_movable(machine)
    check_target(env, request, machine, survey(env, 0))
    with restart_source_on_failure(Cutover(env, source, request, machine)) as cutover:
        done = cut_over(cutover)
    last = done.last
    retire_checkpoints(source, machine, last.run, last.streamed.checkpoint)
    publish_transfer(last.report)
    return publish_migration(migrate_report(near, cutover, last.report, done.deployed))
