# SPDX-License-Identifier: Apache-2.0
"""Benchmarks, each beside a peer on the same data in the same minute."""
