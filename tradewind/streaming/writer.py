# SPDX-License-Identifier: Apache-2.0
"""Write a disk through the writer service in the worker (writer_service.py has the protocol)."""

import json
import socket
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import Final

from pydantic import SecretStr

from tradewind.errors import CancelledError, StreamError, WriterError
from tradewind.plain_text import plain
from tradewind.ports import Range
from tradewind.remote.client import Stream
from tradewind.streaming import writer_service
from tradewind.streaming.answers import Answers, ServiceFacts, read_facts
from tradewind.streaming.bandwidth import Bandwidth, unlimited
from tradewind.streaming.compression import Compressor
from tradewind.units import MiB

# One request's ranges stay far below the service's limit for a body.
_RANGES_PER_REQUEST: Final = 4096

# Requests, and bytes of theirs, that may wait for their answers: they bridge the round trip.
_UNANSWERED: Final = 32
_UNANSWERED_BYTES: Final = 8 * MiB

_ROUND_TRIPS: Final = 2

_NO_BODY: Final = memoryview(b"")
UNLIMITED: Final = Bandwidth(unlimited)


@dataclass(frozen=True, slots=True)
class StreamTerms:
    """What both ends agreed on: the secret of their digests, and how fast we may send."""

    digest_key: SecretStr
    bandwidth: Bandwidth = UNLIMITED

    def key(self) -> bytes:
        """Give the secret itself."""
        return bytes.fromhex(self.digest_key.get_secret_value())


class ServiceWriter:
    """One connection to one disk of the writer service: a DiskWriter, over whatever carries it.

    It does not reconnect: what is not flushed would have to be sent again. An answer that takes
    longer than the stream's timeout is a StreamError. Writes and zeroes are sent without waiting
    for the answers to the ones before, up to 8 MiB or 32 requests of them. `give_back` ends the
    stream.
    """

    def __init__(
        self,
        stream: Stream,
        give_back: Callable[[], None],
        serial: str,
        where: str,
        terms: StreamTerms,
    ) -> None:
        self._stream = stream
        self._connection = connection = stream.connection
        self._give_back = give_back
        self._path = f"/disks/{serial}"
        self.name = f"disk {serial} at {where}"
        self._digest_key = terms.key()
        self._bandwidth = terms.bandwidth
        self._answers = Answers(connection.recv)
        self._unanswered: deque[int] = deque()
        self._interrupted = threading.Event()

    def greet(self) -> None:
        """Learn what the service can do; WriterError when it has no such disk."""
        body = self._request("GET", "/")
        with self._translated():
            facts = read_facts(body)
        serial = self._path.rpartition("/")[2]
        if serial not in facts.disks:
            raise WriterError(
                f"{self.name}: the service has no such disk, only"
                f" {plain(', '.join(facts.disks)) or 'none'}",
                "see that the volume is attached to the worker with this serial",
            )
        self._digest = self._common_digest(facts)
        self._tagger = writer_service.Tagger(self._digest_key, self._digest)
        self._compressor = Compressor(writer_service.libzstd() if facts.zstd else None)

    def _common_digest(self, facts: ServiceFacts) -> str:
        for name in writer_service.digest_names():
            if name in facts.digests:
                return name
        raise WriterError(f"{self.name}: the service makes no digest that we can make")

    def round_trip(self) -> float:
        """Measure how many seconds a request takes that makes hardly any work."""
        return min(self._timed(lambda: self._request("GET", "/")) for _ in range(_ROUND_TRIPS))

    def write(self, offset: int, view: memoryview) -> int:
        """Write the bytes at `offset`; they are not copied on the way into TLS.

        Returns the bytes of the requests' bodies, which may be compressed.
        """
        return sum(
            self._write(offset + start, view[start : start + writer_service.MAX_BODY])
            for start in range(0, len(view), writer_service.MAX_BODY)
        )

    def zero(self, offset: int, length: int) -> None:
        """Make a range read as zero, without sending zeroes."""
        self._ask("POST", f"{self._path}/zero?offset={offset}&length={length}", _NO_BODY)

    def tags(self, view: memoryview) -> list[bytes]:
        """Tag each 64 KiB block of bytes that are here, as the service does over there."""
        return self._tagger.tags(view)

    def flush(self) -> None:
        """Return when everything written through this connection is durable."""
        self._request("POST", f"{self._path}/flush")

    def digests(self, ranges: Sequence[Range]) -> list[bytes]:
        """Read ranges back from the device, past its caches; one digest for each, in order."""
        size = writer_service.DIGEST_SIZE
        found: list[bytes] = []
        for start in range(0, len(ranges), _RANGES_PER_REQUEST):
            body = json.dumps({"ranges": ranges[start : start + _RANGES_PER_REQUEST]}).encode()
            target = f"{self._path}/digests?digest={self._digest}"
            answer = self._request("POST", target, memoryview(body))
            found += [answer[at : at + size] for at in range(0, len(answer), size)]
        if len(found) != len(ranges):
            raise StreamError(f"{self.name}: {len(found)} digests for {len(ranges)} ranges")
        return found

    def interrupt(self) -> None:
        """Make a call that hangs in another thread, and each later one, end in CancelledError."""
        self._interrupted.set()
        self._shut()

    def _shut(self) -> None:
        """Let nothing more through, in another thread's call too.

        Not SSLSocket.shutdown: that takes the TLS object away under the other thread's feet.
        """
        with suppress(OSError):
            socket.socket.shutdown(self._connection, socket.SHUT_RDWR)

    def close(self) -> None:
        """Give the connection back."""
        self._give_back()

    def _write(self, offset: int, view: memoryview) -> int:
        body = self._compressor.pack(view)
        packed = f"&zstd={len(view)}" if len(body) < len(view) else ""
        target = f"{self._path}?offset={offset}{packed}"
        seconds = self._timed(lambda: self._ask("PUT", target, body))
        self._compressor.sent(len(body), seconds)
        return len(body)

    def _request(self, method: str, target: str, body: memoryview = _NO_BODY) -> bytes:
        """Ask, and wait for all answers up to this one's."""
        self._send(method, target, body)
        self._settle(1, 0)
        return self._take()

    def _ask(self, method: str, target: str, body: memoryview) -> None:
        """Ask, and wait for no more answers than has to be."""
        self._send(method, target, body)
        self._settle(_UNANSWERED, _UNANSWERED_BYTES)

    def _send(self, method: str, target: str, body: memoryview) -> None:
        head = f"{method} {target} HTTP/1.1\r\nContent-Length: {len(body)}\r\n\r\n"
        step = self._bandwidth.step()
        with self._translated():
            self._connection.sendall(head.encode())
            for start in range(0, len(body), step):
                part = body[start : start + step]
                self._bandwidth.spend(len(part), self._interrupted)
                self._connection.sendall(part)
        self._unanswered.append(len(body))

    def _settle(self, requests: int, size: int) -> None:
        """Take the oldest answers until the others are few; the newest one may be large."""
        while len(self._unanswered) > 1 and (
            len(self._unanswered) > requests or sum(self._unanswered) > size
        ):
            self._take()

    def _take(self) -> bytes:
        """Take the oldest answer; after a refusal all of them, so that the connection goes on."""
        with self._translated():
            answer = self._answers.next()
            self._unanswered.popleft()
            while answer.status != 200 and self._unanswered:
                self._answers.next()
                self._unanswered.popleft()
        if answer.status != 200:
            raise WriterError(f"{self.name}: {answer.sentence()}")
        return answer.body

    @staticmethod
    def _timed(call: Callable[[], object]) -> float:
        begun = time.perf_counter()
        call()
        return time.perf_counter() - begun

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (OSError, ValueError) as error:
            if self._interrupted.is_set():
                raise CancelledError(f"{self.name}: the connection was interrupted") from error
            client_error = self._stream.client_error()
            self._shut()  # whatever is still in the connection belongs to no request
            if isinstance(error, ssl.SSLError) and "ALERT" in (error.reason or ""):
                raise WriterError(
                    f"{self.name}: the service refused us: {error.reason}", _remedy(error.reason)
                ) from error
            what = (
                "the connection broke" if isinstance(error, OSError) else "no sense in its answer"
            )
            raise StreamError(f"{self.name}: {what}: {client_error or error}") from error


def _remedy(alert: str) -> str:
    """Return what to do about a TLS alert; which one means what: ssl_x509err2alert in OpenSSL."""
    if "EXPIRED" in alert:
        return "by the worker's clock our certificate has expired: set the clock of its host"
    if "BAD_CERTIFICATE" in alert:
        return (
            "our certificate was damaged, or is not valid yet by the worker's clock: see the clock"
            " of its host"
        )
    return "use the access that was made together with this worker"


def take(
    lent: AbstractContextManager[Stream], serial: str, where: str, terms: StreamTerms
) -> ServiceWriter:
    """Take a stream to the service until the writer is closed, and let the service answer once.

    In TLS 1.3 a server refuses a client's certificate after the handshake, and an SSH client is
    there before it has logged in: only a first answer shows that all is well.
    """
    stack = ExitStack()
    try:
        writer = ServiceWriter(stack.enter_context(lent), stack.close, serial, where, terms)
        writer.greet()
    except BaseException:
        stack.close()
        raise
    return writer
