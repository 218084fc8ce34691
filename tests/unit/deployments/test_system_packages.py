# SPDX-License-Identifier: Apache-2.0
"""Which Python the system packages bring, by what a distribution has.

The package managers are stand-ins that know names alone, from the distributions' package lists.
"""

import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[3] / "deployments" / "install-system-packages"
# Programs that answer for one package at a time: what is here, what can be had.
STAND_INS = {
    "dnf": {"rpm": '[ "$1 $2" = "--query --whatprovides" ] || exit 2; name=$3', "dnf": "name=$3"},
    "zypper": {
        "rpm": '[ "$1 $2" = "--query --whatprovides" ] || exit 2; name=$3',
        "zypper": "for name; do :; done",
    },
}


def missing(folder: Path, manager: str, *, installed: str, known: str, too_old: bool) -> list[str]:
    """Ask what is missing on a machine with these packages; its python3 may be too old for us."""
    for name, words in STAND_INS[manager].items():
        listed = installed if name == "rpm" else known
        _write(folder / name, f'{words}\ncase " {listed} " in *" $name "*) exit 0 ;; esac\nexit 1')
    _write(folder / "python3", f"exit {int(too_old)}")
    done = subprocess.run(
        ["/bin/bash", SCRIPT, "--dry-run"],
        env={"PATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    return done.stdout.split()


def _write(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


@pytest.mark.parametrize(
    ("manager", "installed", "known", "too_old", "chosen"),
    [
        pytest.param("zypper", "python3", "python3 python311", True, "python311", id="SLES 15"),
        pytest.param("zypper", "python313", "python313", False, "python313", id="Leap 16"),
        pytest.param("zypper", "", "python313", False, "python313", id="Leap 16, nothing there"),
        pytest.param("dnf", "python3", "python3.11 python3.12", True, "python3.12", id="RHEL 9"),
        pytest.param("dnf", "python3.11", "python3.12", True, "python3.11", id="RHEL 9 with one"),
        pytest.param("dnf", "python3", "python3.9", False, "python3", id="Fedora"),
    ],
)
def test_python_is_one_that_will_do_and_can_be_had(
    tmp_path: Path, manager: str, installed: str, known: str, *, too_old: bool, chosen: str
) -> None:
    found = missing(tmp_path, manager, installed=installed, known=known, too_old=too_old)
    pythons = {name for name in found if name.startswith("python")}
    assert pythons == {chosen, f"{chosen}-devel"} - set(installed.split())
