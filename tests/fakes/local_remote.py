# SPDX-License-Identifier: Apache-2.0
"""This machine as a worker: commands really run here, as root, without SSH in between."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

from tradewind.errors import LateError, RemoteCommandError
from tradewind.ports import Completed


class LocalRemote:
    """Satisfies `ports.Remote`."""

    def run(
        self, argv: Sequence[str], *, stdin: bytes = b"", timeout: float = 60, check: bool = True
    ) -> Completed:
        try:
            done = subprocess.run(
                argv, input=stdin, capture_output=True, timeout=timeout, check=False
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
