# SPDX-License-Identifier: Apache-2.0
"""Python imports this first where the folder is on PYTHONPATH: flow processes of a group."""

import os
import sys

if os.environ.get("TRADEWIND_FAULTS") and "prefect.engine" in sys.orig_argv:
    from tests.live.faults import hook

    hook.install()
