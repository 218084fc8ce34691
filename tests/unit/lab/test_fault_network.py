# SPDX-License-Identifier: Apache-2.0
"""What a cut leaves of a host's firewall, in a network namespace that ends with the test."""

import subprocess
import sys

PROGRAM = """
from itertools import combinations
from lab import namespaces
from lab.commands import call
from lab.faults.network import PacketFault, Party, cut

namespaces.enter = lambda plan, argv: list(argv)
before = call(["iptables", "-S"]).stdout
for how in PacketFault:
    for one, other in combinations(Party, 2):
        with cut(one, other, how):
            rules = call(["iptables", "-S", "TW-FAULTS"]).stdout
            target = "DROP" if how is PacketFault.DROP else "REJECT"
            print(one, other, how, rules.count(f"-j {target}") >= 2)
        assert call(["iptables", "-S"]).stdout == before
"""


def test_every_cut_is_made_and_taken_away_again() -> None:
    argv = ["unshare", "--net", sys.executable, "-c", PROGRAM]
    done = subprocess.run(argv, text=True, check=False, capture_output=True)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 12
    assert all(line.endswith("True") for line in lines), done.stdout
