# SPDX-License-Identifier: Apache-2.0
"""Networks as each system has them, with DHCP asked for and without: what changes in the files."""

import os
from pathlib import Path

import pytest

from tests.fakes.configured_guest import ConfiguredGuest
from tests.fakes.guest_tree import difference
from tradewind.model.guest import MorphOptions, Outcome
from tradewind.morphing.linux.steps import dhcp, interface_names

GOLDEN = Path(__file__).parents[3] / "golden" / "network"
CASES = sorted(path.parent.name for path in GOLDEN.glob("*/case.toml"))
RECORD = os.environ.get("TRADEWIND_RECORD_GOLDEN") or os.environ.get("TRADEWIND_REGENERATE_GOLDEN")


def morph(guest: ConfiguredGuest, mode: str) -> dict[str, Outcome]:
    options = MorphOptions(set_dhcp=mode == "dhcp")
    outcomes = {"interface-names": interface_names.apply(guest, guest.os, options)}
    if dhcp.applies_to(guest.os, options):
        outcomes["dhcp"] = dhcp.apply(guest, guest.os, options)
    return outcomes


def said(outcomes: dict[str, Outcome]) -> str:
    lines = []
    for step, outcome in outcomes.items():
        lines.append(f"# {step}: {outcome.summary}\n")
        lines += [f"#   {outcome.remedy}\n"] if outcome.remedy else []
    return "".join(lines)


@pytest.mark.parametrize("mode", ["dhcp", "keep"])
@pytest.mark.parametrize("case", CASES)
def test_the_network_changes_as_recorded(case: str, mode: str, tmp_path: Path) -> None:
    guest = ConfiguredGuest(tmp_path, GOLDEN / case)
    if mode not in guest.modes:
        assert not (GOLDEN / case / f"{mode}.diff").exists()
        return
    before = guest.photograph()
    outcomes = morph(guest, mode)
    after = guest.photograph()
    kept = {path: text for path, text in after.items() if not path.startswith("/var/backups/")}
    changes = said(outcomes) + difference(before, kept)
    recorded = GOLDEN / case / f"{mode}.diff"
    if RECORD:
        recorded.write_text(changes)
    assert changes == recorded.read_text()
    again = morph(guest, mode)
    assert [step for step, outcome in again.items() if outcome.changed] == []
    assert guest.photograph() == after


@pytest.mark.parametrize("case", CASES)
def test_what_was_changed_is_kept(case: str, tmp_path: Path) -> None:
    guest = ConfiguredGuest(tmp_path, GOLDEN / case)
    before = guest.photograph()
    morph(guest, "dhcp")
    after = guest.photograph()
    for path in [path for path in before if after.get(path) != before[path]]:
        assert after[f"/var/backups/tradewind{path}"] == before[path]
