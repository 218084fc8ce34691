# SPDX-License-Identifier: Apache-2.0
"""What must not be reached from inside: listens outside until it is ended.

    python3 escape_target.py FILE

Writes into FILE: its number, the name of an abstract socket, a port of the loopback.
"""

import os
import socket
import sys
import time
from pathlib import Path

if __name__ == "__main__":
    # What is inherited says where the secret is.
    name = f"tradewind-escape-{os.getpid()}"
    local, port = socket.socket(socket.AF_UNIX), socket.socket()
    local.bind("\0" + name)
    local.listen()
    port.bind(("127.0.0.1", 0))
    port.listen()
    file = Path(sys.argv[1])
    file.with_suffix(".new").write_text(f"{os.getpid()} {name} {port.getsockname()[1]}")
    file.with_suffix(".new").rename(file)
    time.sleep(900)
