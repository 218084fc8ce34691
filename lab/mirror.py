# SPDX-License-Identifier: Apache-2.0
"""The package mirror: a folder served over HTTP.

Also a program of its own, `mirror.py FOLDER ADDRESS PORT PID_FILE LOG`, which goes to the
background when it listens. It needs the standard library only.
"""

import os
import sys
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class _Requests(SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # apt keeps its connection
    disable_nagle_algorithm = True  # header and body are two writes: no delayed acknowledgement


def serve(folder: str, address: str, port: int, pid_file: Path, log: Path) -> None:
    """Serve a folder until somebody ends the process."""
    server = ThreadingHTTPServer((address, port), partial(_Requests, directory=folder))
    # From here on requests are queued: our starter waits for the pipe to close.
    pid_file.write_text(str(os.getpid()))
    with log.open("ab", buffering=0) as output:
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
    server.serve_forever()


if __name__ == "__main__":
    serve(sys.argv[1], sys.argv[2], int(sys.argv[3]), Path(sys.argv[4]), Path(sys.argv[5]))
