# SPDX-License-Identifier: Apache-2.0
"""`python -m images build NAME | list | clean | boot NAME`."""

import sys

from images import build

print(build(sys.argv[2]))
