# SPDX-License-Identifier: Apache-2.0
"""This machine as a worker: commands really run here, as root, without SSH in between."""

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tradewind.errors import LateError, RemoteCommandError
from tradewind.ports import Completed

# A worker's environment. The system's own programs come first: a Python of pyenv takes a second to
# start. Nobody is logged in: a worker closes its ports to everybody else.
WORKER = {name: value for name, value in os.environ.items() if name != "SSH_CONNECTION"}
WORKER["PATH"] = f"/usr/sbin:/usr/bin:/sbin:/bin:{WORKER['PATH']}"


class LocalRemote:
    """Satisfies `ports.Remote`."""

    def run(
        self, argv: Sequence[str], *, stdin: bytes = b"", timeout: float = 60, check: bool = True
    ) -> Completed:
        try:
            done = subprocess.run(
                argv, input=stdin, capture_output=True, timeout=timeout, check=False, env=WORKER
            )
        except subprocess.TimeoutExpired:
            raise LateError(f"`{argv[0]}` did not end") from None
        stdout, stderr = (
            text.decode(errors="surrogateescape") for text in (done.stdout, done.stderr)
        )
        if check and done.returncode != 0:
            raise RemoteCommandError(f"`{argv[0]}` ended with {done.returncode}: {stderr}")
        return Completed(tuple(argv), done.returncode, stdout, stderr)

    def write(self, path: str, content: bytes, mode: int = 0o600) -> None:
        Path(path).write_bytes(content)
        Path(path).chmod(mode)
