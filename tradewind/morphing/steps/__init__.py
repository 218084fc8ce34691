# SPDX-License-Identifier: Apache-2.0
"""One module per change to a guest; the order is in `morphing/plan.py`."""
