# SPDX-License-Identifier: Apache-2.0
"""The scripts that start the writer service, with programs that note what they are told."""

import os
import subprocess
from pathlib import Path

import pytest

from tradewind.streaming import launch, writer_service

FOLDER = Path(writer_service.__file__).parent
NOTE = '#!/bin/sh\n{ echo "$0 $*"; cat; } >>"$NOTED"\n'


class Programs:
    """A folder of programs that stand before all others, and what they were told."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "programs"
        self.folder.mkdir()
        self.noted = folder / "noted"
        self.path = f"{self.folder}:{os.environ['PATH']}"

    def add(self, name: str, text: str = NOTE) -> None:
        path = self.folder / name
        path.write_text(text)
        path.chmod(0o700)

    def run(self, script: str, *arguments: str, **environment: str) -> list[str]:
        done = subprocess.run(
            ["/bin/sh", FOLDER / script, *arguments],
            env={"PATH": self.path, "NOTED": str(self.noted), **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.splitlines()


@pytest.fixture
def programs(tmp_path: Path) -> Programs:
    return Programs(tmp_path)


def close(programs: Programs, connection: str) -> list[str]:
    return programs.run(launch.CLOSE_PORTS, "22,8677", "echo", "started", SSH_CONNECTION=connection)


@pytest.mark.parametrize(
    ("connection", "controller", "rule"),
    [
        ("198.18.0.1 51000 198.18.0.9 22", "198.18.0.1", "ip saddr 198.18.0.1 accept"),
        ("fd00::1 51000 fd00::9 22", "fd00::1", "ip6 saddr fd00::1 accept"),
        ("fe80::1%ens3 51000 fe80::9%ens3 22", "fe80::1", "ip6 saddr fe80::1 accept"),
    ],
)
def test_the_ports_are_closed_to_all_but_who_is_logged_in(
    programs: Programs, connection: str, controller: str, rule: str
) -> None:
    programs.add("nft")
    assert close(programs, connection) == [f"closed: {controller}", "started"]
    rules = [line.strip() for line in programs.noted.read_text().splitlines()]
    assert f"tcp dport {{ 22,8677 }} {rule}" in rules
    # Whoever is not accepted before is dropped; a second time begins with an empty table.
    assert rules.index("tcp dport { 22,8677 } drop") > rules.index(
        f"tcp dport {{ 22,8677 }} {rule}"
    )
    assert rules.index("delete table inet tradewind") < rules.index("table inet tradewind {")


@pytest.mark.parametrize("connection", ["", "198.18.0.1;reboot 1 2 3", "$(reboot) 1 2 3"])
def test_without_an_address_that_makes_sense_nothing_is_closed(
    programs: Programs, connection: str
) -> None:
    programs.add("nft")
    first, second = close(programs, connection)
    assert first.startswith("open: ")
    assert second == "started"
    assert not programs.noted.exists()


def test_without_nft_it_is_said_that_the_ports_are_open(programs: Programs) -> None:
    (programs.folder / "echo").symlink_to("/bin/echo")
    programs.path = str(programs.folder)  # wherever this machine has its own
    assert close(programs, "198.18.0.1 51000 198.18.0.9 22") == [
        "open: the worker image has no nft (package nftables)",
        "started",
    ]


def test_what_nft_says_of_rules_that_it_refuses_is_said(programs: Programs) -> None:
    programs.add("nft", "#!/bin/sh\necho 'Error: Could not process rule: no kernel' >&2\nexit 1\n")
    assert close(programs, "198.18.0.1 51000 198.18.0.9 22") == [
        "open: nft: Error: Could not process rule: no kernel",
        "started",
    ]


def test_the_unit_is_started_again_when_it_dies_and_may_open_many_files(
    programs: Programs,
) -> None:
    for name in ("systemctl", "systemd-run"):
        programs.add(name)
    programs.run(launch.START, "/run/tradewind", "tradewind-writer")
    stop, reset, start = programs.noted.read_text().splitlines()
    assert stop.endswith("systemctl stop tradewind-writer")
    assert reset.endswith("systemctl reset-failed tradewind-writer")
    assert start.endswith("python3 -I /run/tradewind/writer_service.py /run/tradewind/config.json")
    assert "--property=Restart=on-failure" in start
    assert "--property=RestartPreventExitStatus=1" in start  # a start that fails is final
    assert "--property=LimitNOFILE=4096" in start
