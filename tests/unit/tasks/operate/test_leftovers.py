# SPDX-License-Identifier: Apache-2.0
"""What the sweep takes for nobody's: a frozen guest also when its run ended well."""

import pytest
from pydantic import SecretStr

from tasks.operate import leftovers
from tradewind.errors import HypervisorError
from tradewind.model.host import HostAccess
from tradewind.model.ledger import Life
from tradewind.model.leftover import Leftover, LeftoverKind

RUN = "0123456789ab"
HOST = HostAccess(host="old", username="mover", private_key=SecretStr("k"), host_key="SHA256:x")


@pytest.mark.parametrize(
    ("kind", "life", "dead"),
    [
        (LeftoverKind.FREEZE, Life.DEAD, True),
        (LeftoverKind.FREEZE, Life.FINISHED, True),
        (LeftoverKind.FREEZE, Life.ALIVE, False),
        (LeftoverKind.FREEZE, None, False),
        (LeftoverKind.VOLUME, Life.FINISHED, False),
        (LeftoverKind.VOLUME, Life.DEAD, True),
    ],
)
def test_run_that_ended_thaws_nobody_any_more(
    kind: LeftoverKind, life: Life | None, dead: bool
) -> None:
    found = Leftover(kind=kind, run=RUN, name="web")
    assert leftovers._is_dead(found, life) is dead


def test_guest_that_does_not_thaw_keeps_nothing_else_from_being_removed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    removed: list[str] = []

    def remove(_host: HostAccess, leftover: Leftover) -> None:
        if leftover.kind is LeftoverKind.FREEZE:
            raise HypervisorError("web MAY STILL BE FROZEN")
        removed.append(leftover.name)

    monkeypatch.setattr(leftovers, "_remove", remove)
    found = [
        Leftover(kind=kind, run=RUN, name=str(kind))
        for kind in (LeftoverKind.FREEZE, LeftoverKind.BACKUP_JOB, LeftoverKind.VOLUME)
    ]
    with pytest.raises(HypervisorError, match="MAY STILL BE FROZEN"):
        leftovers.remove_all(HOST, found)
    assert removed == ["backup job", "volume"]
