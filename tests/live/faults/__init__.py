# SPDX-License-Identifier: Apache-2.0
"""The matrix: every step of every flow × every fault, and judges that look at what is left.

`python -m tests.live.faults` (or `make faults`) tries cells on a lab; docs/reliability.md is what
came of it. Steps are found by running a flow once with `hook` in its process.
"""
