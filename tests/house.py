# SPDX-License-Identifier: Apache-2.0
"""Measure the house: no circle of modules, and how many others a module imports.

`python -m tests.house` prints the figures, and fails when one is worse than it has been. Who may
import whom is import-linter's affair (pyproject.toml); grimp is the graph that it is built on.
"""

import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from math import ceil
from typing import Final

import grimp

ROOMS: Final = ("tradewind", "blocks", "tasks", "flows", "deployments", "cli")
# Of ten modules nine import no more than so many of ours.
MOST_IN_NINE_OF_TEN: Final = 11
MOST: Final = 26


def faults(graph: grimp.ImportGraph) -> Iterator[str]:
    """Say what is worse than it may be."""
    imports = {name: graph.find_modules_directly_imported_by(name) for name in graph.modules}
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        yield f"modules import each other in a circle: {' → '.join(error.args[1])}"
    ordered = sorted(imports, key=lambda name: len(imports[name]))
    importing = [name for name in ordered if imports[name]]
    nine_of_ten = len(imports[importing[ceil(len(importing) * 0.9) - 1]])
    last = importing[-1]
    print(
        f"{len(importing)} modules; nine of ten import at most {nine_of_ten} of ours,"
        f" {last} {len(imports[last])}"
    )
    if nine_of_ten > MOST_IN_NINE_OF_TEN:
        yield f"nine of ten modules import up to {nine_of_ten} of ours, not {MOST_IN_NINE_OF_TEN}"
    if len(imports[last]) > MOST:
        yield f"{last} imports {len(imports[last])} of our modules, more than {MOST}"


if __name__ == "__main__":
    sys.exit("\n".join(faults(grimp.build_graph(*ROOMS))) or None)
