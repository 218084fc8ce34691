# SPDX-License-Identifier: Apache-2.0
"""Configure a Prefect server from this checkout; its settings and systemd units lie beside."""
