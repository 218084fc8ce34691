# SPDX-License-Identifier: Apache-2.0
"""Where the lab keeps things, and what its parts are called."""

import os
from pathlib import Path
from typing import Final

# Everything that lives as long as the lab: the hosts' folders, keys, lab.json.
state_folder: Final = Path(os.environ.get("TRADEWIND_LAB_DIR") or "/var/lib/tradewind-lab")
# What outlives the lab: guest images, worker images, the packages that the mirror serves.
cache_folder: Final = Path(os.environ.get("TRADEWIND_CACHE") or Path.home() / ".cache/tradewind")
mirror_folder: Final = cache_folder / "mirror"

lab_file: Final = state_folder / "lab.json"
key_file: Final = state_folder / "keys" / "id_ed25519"
known_hosts_file: Final = state_folder / "known_hosts"
ledger_file: Final = state_folder / "ledger.sqlite"

BRIDGE: Final = "tw-lan"
CONTROLLER: Final = "198.18.0.1"
MIRROR_PORT: Final = 8000
ACCOUNT: Final = "tradewind"
