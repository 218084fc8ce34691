# SPDX-License-Identifier: Apache-2.0
"""The right of one run to a transfer, when it is given up."""

from tasks.environment import Environment
from tasks.step import step
from tradewind.model.ledger import RunState
from tradewind.model.run import Run


@step("give-up-{kind}-{run.id}")
def give_up(env: Environment, run: Run, kind: str) -> None:
    """Write down that a run of this kind failed; the transfer can be claimed again."""
    with env.ledger() as ledger:
        ledger.finish(run, RunState.FAILED)
