# SPDX-License-Identifier: Apache-2.0
"""Keep a Prefect server as this checkout says; its settings and systemd units lie beside."""
