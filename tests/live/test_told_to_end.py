# SPDX-License-Identifier: Apache-2.0
"""A run that is told to end is gone in time, although its host or Prefect's server is silent."""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import pytest

from lab import site
from lab.faults import services
from lab.faults.network import PacketFault, Party, cut
from lab.records import Lab
from tests.live import hosts, running
from tests.live.running import Running
from tests.live.tradewind_command import Tradewind, wait_for_line
from tradewind import ending

pytestmark = [pytest.mark.live, pytest.mark.slow]

# Not what is promised, which is ending.PATIENCE: after this long a busy machine is no excuse.
TOO_LONG = 4 * ending.PATIENCE

SILENCES: dict[str, Callable[[], AbstractContextManager[None]]] = {
    "destination": lambda: cut(Party.CONTROLLER, Party.DESTINATION, PacketFault.DROP),
    "source": lambda: cut(Party.CONTROLLER, Party.SOURCE, PacketFault.DROP),
    "prefect-gone": services.api_gone,
    "prefect-hanging": services.api_hanging,
}


@pytest.fixture(scope="module")
def told(the_lab: Lab) -> Iterator[Running]:
    """A machine that runs, with enough on its disk to be sent for a while."""
    machine = running.make(the_lab.source, "told", {"vda": "1G"})
    machine.io("vda", "write -P 7 1M 600M")
    yield machine
    for host in (the_lab.source, the_lab.destination):
        hosts.end_machines(host, "told")


@pytest.mark.parametrize("silent", SILENCES)
def test_run_ends_and_says_what_it_kept(
    tradewind: Tradewind, the_lab: Lab, told: Running, silent: str
) -> None:
    assert tradewind.run("sweep").status == 0  # tests before may have killed runs
    before = {host.name: hosts.traces(host) for host in (the_lab.source, the_lab.destination)}
    words = tradewind.transfer_words("told", "--bandwidth-limit", "8")
    with tradewind.start(*words) as process:
        wait_for_line(process, "mark-written-told", 300)
        with SILENCES[silent]():
            time.sleep(2)
            process.send_signal(signal.SIGTERM)
            asked = time.monotonic()
            _, said = process.communicate(timeout=TOO_LONG)
            print(f"\n{silent}: ended {time.monotonic() - asked:.1f} s after the signal")
    # Prefect sends itself the signal again when the flow has ended.
    assert process.returncode in {ending.STATUS, -signal.SIGTERM}, said[-3000:]
    if silent == "destination":
        assert "worker of run" in said
        assert "tradewind sweep" in said
    swept = tradewind.run("sweep")
    assert swept.status == 0, swept.stderr[-3000:]
    for host in (the_lab.source, the_lab.destination):
        after = hosts.traces(host)
        after["volumes"] = [name for name in after["volumes"] if not name.startswith("told-")]
        kept = [name for name in before[host.name]["volumes"] if not name.startswith("told-")]
        assert after == {**before[host.name], "volumes": kept}
    assert site.DESTINATION in swept.stdout
