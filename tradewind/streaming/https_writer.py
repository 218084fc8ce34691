# SPDX-License-Identifier: Apache-2.0
"""Write a disk through the writer service in the worker (writer_service.py has the protocol)."""

import json
import socket
import ssl
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tradewind.errors import StreamError, WriterError
from tradewind.model.worker import WriterAccess
from tradewind.ports import Range
from tradewind.streaming import writer_service

# One request's ranges stay far below the service's limit for a body.
_RANGES_PER_REQUEST: Final = 4096

_HEAD_LIMIT: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    body: bytes

    def sentence(self) -> str:
        """Say why the service refused."""
        with suppress(ValueError, KeyError, TypeError):
            return str(json.loads(self.body)["error"])
        return f"status {self.status} without a reason"


class HttpsWriter:
    """One connection to one disk of the writer service: a DiskWriter.

    It does not reconnect: what is not flushed would have to be sent again. An answer that takes
    longer than the timeout it was opened with is a StreamError.
    """

    def __init__(self, connection: ssl.SSLSocket, serial: str, where: str) -> None:
        self._connection = connection
        self._path = f"/disks/{serial}"
        self.name = f"disk {serial} at {where}"
        self._rest = b""

    def capacity(self) -> int:
        """Ask for the size of the disk in bytes; WriterError when the service has no such disk."""
        disks = json.loads(self._request("GET", "/"))["disks"]
        serial = self._path.rpartition("/")[2]
        if serial not in disks:
            raise WriterError(
                f"{self.name}: the service has no such disk, only {', '.join(disks) or 'none'}",
                "see that the volume is attached to the worker with this serial",
            )
        return int(disks[serial])

    def write(self, offset: int, view: memoryview) -> None:
        """Write the bytes at `offset`; they are not copied on the way into TLS."""
        for start in range(0, len(view), writer_service.MAX_BODY):
            part = view[start : start + writer_service.MAX_BODY]
            self._request("PUT", f"{self._path}?offset={offset + start}", part)

    def zero(self, offset: int, length: int) -> None:
        """Make a range read as zero, without sending zeroes."""
        self._request("POST", f"{self._path}/zero?offset={offset}&length={length}")

    def flush(self) -> None:
        """Return when everything written (through any connection) is durable."""
        self._request("POST", f"{self._path}/flush")

    def digests(self, ranges: Sequence[Range]) -> list[bytes]:
        """Read ranges back from the device, past its caches; one digest for each, in order."""
        size = writer_service.DIGEST_SIZE
        found: list[bytes] = []
        for start in range(0, len(ranges), _RANGES_PER_REQUEST):
            body = json.dumps({"ranges": ranges[start : start + _RANGES_PER_REQUEST]}).encode()
            answer = self._request("POST", f"{self._path}/digests", memoryview(body))
            found += [answer[at : at + size] for at in range(0, len(answer), size)]
        if len(found) != len(ranges):
            raise StreamError(f"{self.name}: {len(found)} digests for {len(ranges)} ranges")
        return found

    def interrupt(self) -> None:
        """Make a call that hangs in another thread return with an error.

        Not SSLSocket.shutdown: that takes the TLS object away under the other thread's feet.
        """
        with suppress(OSError):
            socket.socket.shutdown(self._connection, socket.SHUT_RDWR)

    def close(self) -> None:
        """Give the connection back."""
        self._connection.close()

    def _request(self, method: str, target: str, body: memoryview | None = None) -> bytes:
        length = len(body) if body is not None else 0
        head = f"{method} {target} HTTP/1.1\r\nContent-Length: {length}\r\n\r\n"
        with self._translated():
            self._connection.sendall(head.encode())
            if body is not None:
                self._connection.sendall(body)
            answer = self._receive()
        if answer.status != 200:
            raise WriterError(f"{self.name}: {answer.sentence()}")
        return answer.body

    def _receive(self) -> _Answer:
        while b"\r\n\r\n" not in self._rest:
            self._rest += self._receive_some()
            if len(self._rest) > _HEAD_LIMIT:
                raise OSError("the answer has no end of its head")
        head, _, body = self._rest.partition(b"\r\n\r\n")
        status, length = _parse_head(head)
        parts, missing = [body], length - len(body)
        while missing > 0:
            parts.append(self._receive_some())
            missing -= len(parts[-1])
        whole = b"".join(parts)
        self._rest = whole[length:]
        return _Answer(status, whole[:length])

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (OSError, ValueError) as error:
            self.interrupt()  # whatever is still in the connection belongs to no request
            if isinstance(error, ssl.SSLError) and "ALERT" in (error.reason or ""):
                raise WriterError(
                    f"{self.name}: the service refused us: {error.reason}",
                    "use the access that was made together with this worker",
                ) from error
            raise StreamError(f"{self.name}: the connection broke: {error}") from error

    def _receive_some(self) -> bytes:
        data = self._connection.recv(_HEAD_LIMIT)
        if not data:
            raise ConnectionResetError("the writer service closed it")
        return data


def open_writer(access: WriterAccess, serial: str, timeout: float = 120.0) -> HttpsWriter:
    """Connect to one disk of a writer service, mutually authenticated.

    `timeout` (seconds) bounds the connecting and each answer. StreamError when the service
    cannot be reached, WriterError when it is not ours, does not accept us or has no such disk.
    """
    where = f"{access.address}:{access.port}"
    with _refusals(where):
        connection = socket.create_connection((access.address, access.port), timeout=timeout)
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            secure = client_context(access).wrap_socket(connection, server_hostname=access.address)
        except BaseException:
            connection.close()
            raise
    writer = HttpsWriter(secure, serial, where)
    try:
        # In TLS 1.3 a server refuses a client's certificate after the handshake: only a first
        # answer shows that it did not.
        writer.capacity()
    except BaseException:
        writer.close()
        raise
    return writer


def client_context(access: WriterAccess) -> ssl.SSLContext:
    """Trust the worker's own authority and nothing else, and show our certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_verify_locations(cadata=access.ca_certificate)
    # The ssl module takes a private key from a file only.
    with tempfile.TemporaryDirectory(prefix="tradewind-") as folder:
        path = Path(folder, "client.pem")
        path.touch(mode=0o600)
        path.write_text(access.client_certificate + access.client_key.get_secret_value())
        context.load_cert_chain(path)
    return context


def _parse_head(head: bytes) -> tuple[int, int]:
    """Take the status and the length of the body from an answer's head."""
    lines = head.decode("latin-1").split("\r\n")
    for line in lines[1:]:
        name, _, value = line.partition(":")
        if name.strip().lower() == "content-length":
            return int(lines[0].split(" ")[1]), int(value)
    raise ValueError("the answer does not say how long it is")


@contextmanager
def _refusals(where: str) -> Iterator[None]:
    try:
        yield
    except ssl.SSLCertVerificationError as error:
        raise WriterError(
            f"The writer service at {where} is not the one that was started: "
            f"{error.verify_message}",
            "see what answers at this address; the worker's certificate is made for it alone",
        ) from error
    except ssl.SSLError as error:
        raise WriterError(f"The writer service at {where} refused TLS: {error.reason}") from error
    except OSError as error:
        raise StreamError(
            f"The writer service at {where} cannot be reached: {error}",
            "see that the controller can reach the worker's network",
        ) from error
