# SPDX-License-Identifier: Apache-2.0
"""Run a command, move a file, forward a socket (home of paramiko)."""
