# SPDX-License-Identifier: Apache-2.0
"""docs/benchmarks.md, from the rows."""

from collections.abc import Sequence
from typing import Final

from bench.results import Row, judged, table

_METHOD: Final = """\
`make bench` measures, and writes this page and `bench/results.json`. Nothing here is written by
hand.

- All movers read from the same qemu-nbd at a unix socket, and write through TLS 1.3 with
  certificates on both ends: ours into the writer service, nbdcopy and `qemu-img convert` into a
  qemu-nbd. Sources and targets are files in memory. What arrived is compared with the source
  after every row.
- Everything runs at nice −5, before the machine's other work. Movers take turns. Rows of the
  loopback are medians of five rounds, of 1 Gbit/s of three, the others were measured once.
- A target that is going to be full has its memory before, as a preallocated volume has its
  blocks, and reads as zero. Else a virtual machine's own host has a share in the figures: memory
  that was free comes from it when it is first touched, sometimes quickly, sometimes not.
- Seconds are until everything is flushed; ours also until everything was read back on the target
  and its digests were compared. The clock of ours starts when Python has started, as it has in a
  worker pool.
- "On the wire" are the link's own counters, both directions, packets and handshakes included.
  "Peak memory" is the mover's process; the sum of them where nbdcopy and qemu-img run once for
  each disk.
- 1 Gbit/s and 200 Mbit/s are tbf on a veth between network namespaces. 20 ms of round trip come
  from a relay on the loopback (bench/relay.py), which takes CPU time from all movers.
- In an incremental, ours is told what changed since the checkpoint. nbdcopy and qemu-img cannot
  be: they copy the whole disk, measured once for the three rows.
- On the loopback, and for ours at 1 Gbit/s, processors are the limit. A load well above zero
  before the run means that other programs had a part of them, and then these rows say little. The
  load after it is the run's own.\
"""


def page(rows: Sequence[Row], machine: str) -> str:
    """Write the page; what falls short stands in it as it was measured."""
    targets = "\n".join(judged(rows))
    return f"""# Benchmarks

{_METHOD}
- Machine: {machine}.

## Targets

{targets}

## Figures

{table(rows)}"""
