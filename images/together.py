# SPDX-License-Identifier: Apache-2.0
"""Build what a lab needs side by side: dpkg keeps one processor busy, and there are more."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from images.builder import build
from images.host_tree import build_host
from images.mirror import build_mirror


def build_for_lab(names: Sequence[str], hosts: Sequence[str] = ()) -> None:
    """Build these images, hosts and the package mirror, as far as they are not there yet.

    Raises what the first of them raised, when the others have ended.
    """
    asked: list[Callable[[], object]] = [
        *(partial(build, name) for name in names),
        *(partial(build_host, name) for name in hosts),
        build_mirror,
    ]
    with ThreadPoolExecutor(len(asked)) as pool:
        for each in [pool.submit(one) for one in asked]:
            each.result()
