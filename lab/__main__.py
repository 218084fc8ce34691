# SPDX-License-Identifier: Apache-2.0
"""`python -m lab`."""

from lab.cli import main

main()
