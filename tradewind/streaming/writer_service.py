# SPDX-License-Identifier: Apache-2.0
"""The service in the worker that receives disks: one file, standard library only, Python 3.9+.

Usage: writer_service.py [--stdio] CONFIG, a JSON file with

    address, port          where to listen (port 0: any; the port is printed)
    certificate, key, ca   paths of PEM files; a client without a certificate of `ca` is refused
    digest_key             64 hex digits, the secret of the digests
    disks                  serial → path of the device; nothing else can be opened

HTTP/1.1 over TLS 1.3 with both ends' certificates. Answers are 200, or a status and {"error"}.
With --stdio one client is served on standard input and output, which SSH has carried here: then
only `disks` counts.

    GET  /                                        version, limits, the disks and their bytes
    PUT  /disks/<serial>?offset=N                 write the body there
    PUT  /disks/<serial>?offset=N&zstd=LENGTH     write what it expands to, LENGTH bytes
    POST /disks/<serial>/zero?offset=N&length=N   make it read as zero
    POST /disks/<serial>/flush                    return when all writes are durable
    POST /disks/<serial>/digests?digest=NAME      {"ranges": [[offset, length], …]} → 32 bytes each

Requests may follow each other without waiting; they are carried out and answered in order.

The digest of a range is the BLAKE2b-256 of the 16-byte tags of its 64 KiB blocks, counted from
the range's start. The tag of a zero block is zero and costs one comparison; any other's is made
with the secret key, by Poly1305 or BLAKE2b (docs/decisions/0007-keyed-digests.md).

Memory: two buffers of 4 MiB for each connection, 16 connections. A body lands in one of them,
page-aligned for O_DIRECT, and is expanded from the other; that is why the head of a request is
read by hand (docs/decisions/0003-writer-protocol.md).
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import functools
import hashlib
import json
import mmap
import os
import selectors
import socket
import ssl
import stat
import struct
import sys
import threading
import time
import urllib.parse
import weakref
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

VERSION = 2
BLOCK = 64 * 1024
DIGEST_SIZE = 32
TAG_SIZE = 16
ZERO_TAG = bytes(TAG_SIZE)
POLY1305 = "poly1305"
BLAKE2B = "blake2b"
MAX_BODY = 4 * 1024 * 1024
MAX_CONNECTIONS = 16
MAX_HEAD = 8 * 1024

# TLS 1.3 ciphers in the server's order; what is quick depends on the worker's CPU. OpenSSL takes
# them from its configuration only (Python < 3.15 cannot set them), hence `use_ciphers`.
CIPHERS = "TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_256_GCM_SHA384"

# Seconds. A client may be silent while its source is slow; a dead one is found by keepalive.
IDLE_TIMEOUT = 1800
PLACE_TIMEOUT = 20
# For all of a handshake, however its bytes drip; and for a refused client to hear why.
HANDSHAKE_TIMEOUT = 20
FAREWELL_TIMEOUT = 2

# Clients without proof that are held at once, of each of three kinds (Handshakes); each is a
# descriptor, of which systemd gives 1,024. How many are accepted in a turn; how many may wait in
# the kernel.
MAX_HANDSHAKES = 128
MAX_ACCEPTED = 16
BACKLOG = 512
# Seconds to wait when there is nothing to accept a connection with.
PAUSE = 0.1

# <linux/falloc.h>, <linux/fs.h>
_PUNCH_HOLE_KEEP_SIZE = 0x02 | 0x01
_BLKZEROOUT = 0x127F
_BLKSSZGET = 0x1268
_ZERO_STEP = 128 * 1024 * 1024
_FILE_ALIGNMENT = 4096

_ZEROES = bytearray(BLOCK)


# -- C libraries -----------------------------------------------------------------------------------

_POINTER = ctypes.c_void_p
_SIZE = ctypes.c_size_t


def address(view: memoryview) -> int:
    """Where a view begins; it has to be writable, as ctypes looks at no other."""
    return ctypes.addressof(ctypes.c_char.from_buffer(view))


def _declare(library: ctypes.CDLL, name: str, result: Any, *arguments: Any) -> Any:
    function = getattr(library, name)
    function.restype, function.argtypes = result, arguments
    return function


class LibCrypto:
    """Poly1305 of OpenSSL 3, which Python's own ssl module is linked with."""

    def __init__(self) -> None:
        # Not CDLL: a block takes 7 µs, and another thread that has got hold of Python meanwhile
        # need not give it back for 5 ms.
        library = ctypes.PyDLL("libcrypto.so.3")
        fetch = _declare(library, "EVP_MAC_fetch", _POINTER, _POINTER, ctypes.c_char_p, _POINTER)
        self.context = _declare(library, "EVP_MAC_CTX_new", _POINTER, _POINTER)
        self.free = _declare(library, "EVP_MAC_CTX_free", None, _POINTER)
        self.begin = _declare(
            library, "EVP_MAC_init", ctypes.c_int, _POINTER, ctypes.c_char_p, _SIZE, _POINTER
        )
        self.update = _declare(library, "EVP_MAC_update", ctypes.c_int, _POINTER, _POINTER, _SIZE)
        self.end = _declare(
            library, "EVP_MAC_final", ctypes.c_int, _POINTER, _POINTER, _POINTER, _SIZE
        )
        self.poly1305 = fetch(None, b"POLY1305", None)
        if not self.poly1305:  # a FIPS provider has none
            raise OSError("OpenSSL has no Poly1305")


class LibZstd:
    """libzstd(3), which package managers are linked with: nearly everywhere."""

    def __init__(self) -> None:
        library = ctypes.CDLL("libzstd.so.1")
        self.bound = _declare(library, "ZSTD_compressBound", _SIZE, _SIZE)
        self.is_error = _declare(library, "ZSTD_isError", ctypes.c_uint, _SIZE)
        self.set_parameter = _declare(
            library, "ZSTD_CCtx_setParameter", _SIZE, _POINTER, ctypes.c_int, ctypes.c_int
        )
        self.packer = _declare(library, "ZSTD_createCCtx", _POINTER)
        self.free_packer = _declare(library, "ZSTD_freeCCtx", _SIZE, _POINTER)
        self.unpacker = _declare(library, "ZSTD_createDCtx", _POINTER)
        self.free_unpacker = _declare(library, "ZSTD_freeDCtx", _SIZE, _POINTER)
        transform = (_SIZE, _POINTER, _POINTER, _SIZE, _POINTER, _SIZE)
        self.compress = _declare(library, "ZSTD_compress2", *transform)
        self.expand = _declare(library, "ZSTD_decompressDCtx", *transform)


@functools.lru_cache(maxsize=1)
def libcrypto() -> LibCrypto | None:
    """Load it; None where it is missing, or older than 3."""
    try:
        return LibCrypto()
    except (OSError, AttributeError):
        return None


@functools.lru_cache(maxsize=1)
def libzstd() -> LibZstd | None:
    """Load it; None where it is missing, or older than 1.4."""
    try:
        return LibZstd()
    except (OSError, AttributeError):
        return None


class Unpacker:
    """Expands zstd frames; for one thread."""

    def __init__(self, library: LibZstd) -> None:
        self._library = library
        self._context = library.unpacker()
        weakref.finalize(self, library.free_unpacker, self._context)

    def expand(self, packed: memoryview, target: memoryview) -> int:
        """Expand one frame into the target; returns how many bytes it came to."""
        count = int(
            self._library.expand(
                self._context, address(target), len(target), address(packed), len(packed)
            )
        )
        if self._library.is_error(count):
            raise RefusedError(400, "the body is no zstd frame of that length")
        return count


# -- digests ---------------------------------------------------------------------------------------


def digest_names() -> list[str]:
    """Name the ways to make tags that work here, the quickest first."""
    return [POLY1305, BLAKE2B] if libcrypto() else [BLAKE2B]


def is_zero(view: memoryview) -> bool:
    """Whether at most 64 KiB are all zero.

    The bytearray has to stand on the left: it compares with memcmp, a memoryview item by item.
    """
    return (_ZEROES if len(view) == BLOCK else _ZEROES[: len(view)]) == view


def combined(tags: Iterable[bytes]) -> bytes:
    """Make the digest of a range from the tags of its blocks."""
    return hashlib.blake2b(b"".join(tags), digest_size=DIGEST_SIZE).digest()


class Tagger:
    """Makes the tags of blocks under a key of 32 bytes; for one thread."""

    def __init__(self, key: bytes, name: str) -> None:
        library = libcrypto() if name == POLY1305 else None
        if library is None and name != BLAKE2B:
            raise RefusedError(400, f"no digest {name} here")
        self._key = key
        self._library = library
        if library is not None:
            self._context = library.context(library.poly1305)
            self._tag = ctypes.create_string_buffer(TAG_SIZE)
            weakref.finalize(self, library.free, self._context)

    def tags(self, view: memoryview) -> list[bytes]:
        """Tag each 64 KiB block of a range; the last block may be shorter."""
        if view.readonly:
            view = memoryview(bytearray(view))
        blocks = [view[start : start + BLOCK] for start in range(0, len(view), BLOCK)]
        if self._library is None:
            return [ZERO_TAG if is_zero(block) else self._blake2b(block) for block in blocks]
        places = range(address(view), address(view) + len(view), BLOCK)
        return [
            ZERO_TAG if is_zero(block) else self._poly1305(self._library, place, len(block))
            for block, place in zip(blocks, places)  # noqa: B905 - Python 3.9 has no strict
        ]

    def _poly1305(self, library: LibCrypto, place: int, length: int) -> bytes:
        context = self._context
        done = (
            library.begin(context, self._key, len(self._key), None)
            and library.update(context, place, length)
            and library.end(context, self._tag, None, TAG_SIZE)
        )
        if not done:
            raise OSError("OpenSSL made no Poly1305 tag")
        return self._tag.raw

    def _blake2b(self, block: memoryview) -> bytes:
        return hashlib.blake2b(block, digest_size=TAG_SIZE, key=self._key).digest()


# -- devices ---------------------------------------------------------------------------------------


class RefusedError(Exception):
    """A request that is answered with a status and a sentence."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status
        self.sentence = sentence


class Device:
    """One disk: written and read past the page cache wherever alignment permits."""

    def __init__(self, serial: str, path: str) -> None:
        self.serial = serial
        self._cached = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        self._is_block = stat.S_ISBLK(os.fstat(self._cached).st_mode)
        self.size = os.lseek(self._cached, 0, os.SEEK_END)
        self._alignment = self._find_alignment()
        try:
            self._direct = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_DIRECT)
        except OSError:  # a file system without it, such as tmpfs
            self._direct = -1

    def write(self, offset: int, view: memoryview) -> None:
        """Write all of the bytes."""
        self._check(offset, len(view))
        aligned = (offset | len(view)) % self._alignment == 0
        descriptor = self._direct if aligned and self._direct >= 0 else self._cached
        while view:
            count = os.pwrite(descriptor, view, offset)
            offset, view = offset + count, view[count:]

    def zero(self, offset: int, length: int) -> None:
        """Make a range read as zero, by the device's own operation where it has one."""
        self._check(offset, length)
        end = offset + length
        inner = min(-(-offset // self._alignment) * self._alignment, end)
        inner_end = max(end // self._alignment * self._alignment, inner)
        self._write_zeroes(offset, inner - offset)
        for start in range(inner, inner_end, _ZERO_STEP):
            self._zero_aligned(start, min(_ZERO_STEP, inner_end - start))
        self._write_zeroes(inner_end, end - inner_end)

    def flush(self) -> None:
        """Return when everything written is durable."""
        os.fsync(self._cached)

    def read(self, offset: int, length: int, buffer: memoryview) -> memoryview:
        """Read past the page cache; returns the part of the buffer that holds the bytes."""
        if self._direct < 0:
            os.fsync(self._cached)
            os.posix_fadvise(self._cached, offset, length, os.POSIX_FADV_DONTNEED)
        lead = offset % self._alignment
        whole = -(-(lead + length) // self._alignment) * self._alignment
        count = os.preadv(
            self._direct if self._direct >= 0 else self._cached, [buffer[:whole]], offset - lead
        )
        if count < lead + length:
            raise OSError(errno.EIO, f"only {count} bytes came")
        return buffer[lead : lead + length]

    def check(self, ranges: list[tuple[int, int]]) -> None:
        """Refuse ranges that are not inside the device."""
        for offset, length in ranges:
            self._check(offset, length)

    def _check(self, offset: int, length: int) -> None:
        if offset < 0 or length < 1 or offset + length > self.size:
            raise RefusedError(
                416,
                f"disk {self.serial} has {self.size} bytes; "
                f"the range from {offset} of {length} bytes is not inside it",
            )

    def _find_alignment(self) -> int:
        if not self._is_block:
            return _FILE_ALIGNMENT
        answer = fcntl.ioctl(self._cached, _BLKSSZGET, bytes(4))
        return int(struct.unpack("i", answer)[0])

    def _zero_aligned(self, offset: int, length: int) -> None:
        # On a block device this is "write zeroes, you may unmap": a sparse volume stays sparse,
        # which BLKZEROOUT (no unmapping) would not let it (linux/block/fops.c, blkdev_fallocate).
        if _fallocate(self._cached, _PUNCH_HOLE_KEEP_SIZE, offset, length):
            return
        if self._is_block:
            fcntl.ioctl(self._cached, _BLKZEROOUT, struct.pack("QQ", offset, length))
        else:
            self._write_zeroes(offset, length)

    def _write_zeroes(self, offset: int, length: int) -> None:
        for start in range(offset, offset + length, BLOCK):
            os.pwrite(self._cached, _ZEROES[: min(BLOCK, offset + length - start)], start)


def _fallocate(descriptor: int, mode: int, offset: int, length: int) -> bool:
    """Call fallocate(2); False when the file or device does not know the operation."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.fallocate(descriptor, mode, ctypes.c_int64(offset), ctypes.c_int64(length)) == 0:
        return True
    code = ctypes.get_errno()
    if code in (errno.EOPNOTSUPP, errno.ENOSYS, errno.ENODEV):
        return False
    raise OSError(code, os.strerror(code))


class Devices:
    """The configured disks, opened when first asked for (they are attached while we run)."""

    def __init__(self, paths: dict[str, str]) -> None:
        self._paths = paths
        self._open: dict[str, Device] = {}
        self._lock = threading.Lock()

    def get(self, serial: str) -> Device:
        """Find an open disk, or open it."""
        with self._lock:
            if serial not in self._open:
                self._open[serial] = self._opened(serial)
            return self._open[serial]

    def sizes(self) -> dict[str, int]:
        """Bytes of each disk that can be opened."""
        found = {}
        for serial in self._paths:
            with contextlib.suppress(RefusedError):
                found[serial] = self.get(serial).size
        return found

    def _opened(self, serial: str) -> Device:
        if serial not in self._paths:
            raise RefusedError(404, f"no disk {serial} is configured")
        try:
            return Device(serial, self._paths[serial])
        except OSError as error:
            raise RefusedError(
                404, f"disk {serial} cannot be opened at {self._paths[serial]}: {error.strerror}"
            ) from error


# -- requests --------------------------------------------------------------------------------------


class Request(NamedTuple):
    """A request's head; `length` is its body's."""

    method: str
    path: str
    query: dict[str, str]
    length: int

    def number(self, name: str) -> int:
        """Take a whole number from the query."""
        text = self.query.get(name, "")
        if not (text.isascii() and text.isdigit() and len(text) < 20):
            raise RefusedError(400, f"{name} is missing or not a number")
        return int(text)


def parse_head(head: bytes) -> Request:
    """Read a request line and the one header that matters, Content-Length."""
    lines = head.decode("latin-1").split("\r\n")
    words = lines[0].split(" ")
    if len(words) != 3 or words[2] != "HTTP/1.1":
        raise RefusedError(400, "not an HTTP/1.1 request")
    headers = {name.strip().lower(): value.strip() for name, _, value in _split_headers(lines[1:])}
    length = headers.get("content-length", "0")
    if "transfer-encoding" in headers or not (length.isascii() and length.isdigit()):
        raise RefusedError(411, "Content-Length is needed")
    try:
        target = urllib.parse.urlsplit(words[1])
    except ValueError as error:
        raise RefusedError(400, f"not a path: {error}") from None
    query = dict(urllib.parse.parse_qsl(target.query))
    # Cut: a number of thousands of digits is refused like any other that is too large.
    return Request(words[0], target.path, query, int(length.lstrip("0")[:20] or "0"))


def _split_headers(lines: list[str]) -> Iterator[tuple[str, str, str]]:
    return (line.partition(":") for line in lines if line)


class Pipes:
    """Two file descriptors, with the three operations of a socket that a conversation needs."""

    def __init__(self, source: int, sink: int) -> None:
        self._source = source
        self._sink = sink

    def recv(self, limit: int) -> bytes:
        """Read what is there; nothing at the end."""
        return os.read(self._source, limit)

    def recv_into(self, view: memoryview) -> int:
        """Read what is there into a buffer, without a copy in between."""
        return os.readv(self._source, [view])

    def sendall(self, content: bytes) -> None:
        """Write all of it."""
        view = memoryview(content)
        while view:
            view = view[os.write(self._sink, view) :]


class Secured:
    """A TLS connection, without what Python's own class does around each record of 16 KiB.

    To receive 1 GiB so took 1.4 s of a processor's time, and 1.6 s or more by `recv_into`.
    """

    def __init__(self, connection: ssl.SSLSocket) -> None:
        self.recv = connection.recv
        self.sendall = connection.sendall
        self._read: Callable[[int, memoryview], int] = connection._sslobj.read  # type: ignore[attr-defined]

    def recv_into(self, view: memoryview) -> int:
        """Read a record into a buffer."""
        return self._read(len(view), view)


class ServedConnection:
    """One connection: requests in, answers out, and buffers for everything that is large."""

    def __init__(self, connection: Secured | Pipes, devices: Devices, key: bytes) -> None:
        self._connection = connection
        self._devices = devices
        self._key = key
        self._taggers: dict[str, Tagger] = {}
        # Page-aligned, as O_DIRECT wants it; two more pages for ranges that are not.
        self._buffer = memoryview(mmap.mmap(-1, MAX_BODY + 2 * _FILE_ALIGNMENT))
        # Takes memory when it is first used.
        self._packed = memoryview(mmap.mmap(-1, MAX_BODY))
        self._unpacker: Unpacker | None = None
        # Bytes that came after a request: of its body, or of the next one.
        self._early = b""

    def run(self) -> None:
        """Answer until the client leaves."""
        while (request := self._receive_head()) is not None:
            body = self._receive_body(request)
            try:
                self._answer(request, body)
            except RefusedError as refusal:
                self._refuse(refusal)
            except (OSError, ValueError) as error:
                if isinstance(error, (ssl.SSLError, ConnectionError, TimeoutError)):
                    raise
                self._refuse(RefusedError(500, f"{request.method} {request.path}: {error}"))

    def _answer(self, request: Request, body: memoryview) -> None:
        if (request.method, request.path) == ("GET", "/"):
            self._send_json(200, self._facts())
            return
        parts = request.path.split("/")
        if len(parts) not in (3, 4) or parts[1] != "disks":
            raise RefusedError(404, f"no such path {request.path}")
        operation = _OPERATIONS.get((request.method, *parts[3:]))
        if operation is None:
            raise RefusedError(405, f"no such operation {request.method} {request.path}")
        operation(self, self._devices.get(parts[2]), request, body)

    def _facts(self) -> dict[str, Any]:
        return {
            "version": VERSION,
            "disks": self._devices.sizes(),
            "max_body": MAX_BODY,
            "digests": digest_names(),
            "zstd": libzstd() is not None,
        }

    def write(self, device: Device, request: Request, body: memoryview) -> None:
        """PUT."""
        view = self._expanded(request, body) if "zstd" in request.query else body
        device.write(request.number("offset"), view)
        self._send_head(200, 0)

    def _expanded(self, request: Request, body: memoryview) -> memoryview:
        length = request.number("zstd")
        library = libzstd()
        if library is None or not body or not 0 < length <= MAX_BODY:
            raise RefusedError(400, f"zstd={length} cannot be expanded here")
        if self._unpacker is None:
            self._unpacker = Unpacker(library)
        view = self._buffer[:length]
        if self._unpacker.expand(body, view) != length:
            raise RefusedError(400, f"the body did not expand to {length} bytes")
        return view

    def zero(self, device: Device, request: Request, _body: memoryview) -> None:
        """POST …/zero."""
        device.zero(request.number("offset"), request.number("length"))
        self._send_head(200, 0)

    def flush(self, device: Device, _request: Request, _body: memoryview) -> None:
        """POST …/flush."""
        device.flush()
        self._send_head(200, 0)

    def digests(self, device: Device, request: Request, body: memoryview) -> None:
        """POST …/digests; answers flow as they are known, so that the client sees life."""
        ranges = _ranges(bytes(body))
        device.check(ranges)
        tagger = self._tagger(request.query.get("digest", BLAKE2B))
        self._send_head(200, DIGEST_SIZE * len(ranges))
        try:
            for group in adjacent(ranges, MAX_BODY):
                digests = self._group_digests(device, group, tagger)
                self._connection.sendall(b"".join(digests))
        except OSError as error:
            # The head is gone: a cut connection is the only honest end.
            raise ConnectionError(f"disk {device.serial}: {error}") from error

    def _tagger(self, name: str) -> Tagger:
        if name not in self._taggers:
            self._taggers[name] = Tagger(self._key, name)
        return self._taggers[name]

    def _group_digests(
        self, device: Device, group: list[tuple[int, int]], tagger: Tagger
    ) -> list[bytes]:
        first, last = group[0], group[-1]
        length = last[0] + last[1] - first[0]
        if length > MAX_BODY:
            return [self._long_digest(device, first, tagger)]
        view = device.read(first[0], length, self._buffer)
        return [
            combined(tagger.tags(view[offset - first[0] : offset - first[0] + count]))
            for offset, count in group
        ]

    def _long_digest(self, device: Device, whole: tuple[int, int], tagger: Tagger) -> bytes:
        offset, length = whole
        outer = hashlib.blake2b(digest_size=DIGEST_SIZE)
        for start in range(offset, offset + length, MAX_BODY):
            count = min(MAX_BODY, offset + length - start)
            outer.update(b"".join(tagger.tags(device.read(start, count, self._buffer))))
        return outer.digest()

    def _receive_head(self) -> Request | None:
        data = self._early
        while b"\r\n\r\n" not in data:
            if len(data) > 4 * MAX_HEAD:
                raise ConnectionError("the head of a request is too long")
            more = self._connection.recv(MAX_HEAD)
            if not more:
                return None
            data += more
        head, _, self._early = data.partition(b"\r\n\r\n")
        try:
            return parse_head(head)
        except RefusedError as refusal:
            self._refuse(refusal)
            return None

    def _receive_body(self, request: Request) -> memoryview:
        if request.length > MAX_BODY:
            self._refuse(RefusedError(413, f"a body may have {MAX_BODY} bytes at most"))
            raise ConnectionError("a body is too long")
        whole = self._packed if "zstd" in request.query else self._buffer
        body = whole[: request.length]
        position = min(len(self._early), request.length)
        body[:position] = self._early[:position]
        self._early = self._early[position:]
        while position < request.length:
            count = self._connection.recv_into(body[position:])
            if not count:
                raise ConnectionError("the client left in the middle of a body")
            position += count
        return body

    def _refuse(self, refusal: RefusedError) -> None:
        self._send_json(refusal.status, {"error": refusal.sentence})

    def _send_json(self, status: int, content: dict[str, Any]) -> None:
        body = json.dumps(content).encode()
        self._send_head(status, len(body), body)

    def _send_head(self, status: int, length: int, body: bytes = b"") -> None:
        reason = "OK" if status == 200 else "Refused"
        head = f"HTTP/1.1 {status} {reason}\r\nContent-Length: {length}\r\n\r\n"
        self._connection.sendall(head.encode() + body)


_Operation = Callable[[ServedConnection, Device, Request, memoryview], None]
_OPERATIONS: dict[tuple[str, ...], _Operation] = {
    ("PUT",): ServedConnection.write,
    ("POST", "zero"): ServedConnection.zero,
    ("POST", "flush"): ServedConnection.flush,
    ("POST", "digests"): ServedConnection.digests,
}


def _ranges(body: bytes) -> list[tuple[int, int]]:
    try:
        return [(int(offset), int(length)) for offset, length in json.loads(body)["ranges"]]
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        raise RefusedError(400, 'the body is not {"ranges": [[offset, length], …]}') from None


def adjacent(ranges: list[tuple[int, int]], limit: int) -> Iterator[list[tuple[int, int]]]:
    """Group ranges that follow each other without a gap, up to `limit` bytes: one read each."""
    group: list[tuple[int, int]] = []
    for offset, length in ranges:
        if group and (sum(group[-1]) != offset or offset + length - group[0][0] > limit):
            yield group
            group = []
        group.append((offset, length))
    if group:
        yield group


# -- service ---------------------------------------------------------------------------------------


def tls_context(config: dict[str, Any]) -> ssl.SSLContext:
    """TLS 1.3 only, and only with clients of our authority."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(config["certificate"], config["key"])
    context.load_verify_locations(config["ca"])
    context.num_tickets = 0  # nobody resumes, so nobody has to read them
    return context


class Handshake:
    """A client that has not proven itself: it costs a descriptor for a while, and no thread."""

    def __init__(self, connection: socket.socket, peer: str, context: ssl.SSLContext) -> None:
        self.peer = peer
        self.deadline = time.monotonic() + HANDSHAKE_TIMEOUT
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.secure = context.wrap_socket(
            connection, server_side=True, do_handshake_on_connect=False
        )
        self._refusal = ""

    def advance(self) -> int:
        """Go as far as the client's bytes lead: what to wait for next, or 0 when it is proven.

        OSError says why it never will be.
        """
        if self._refusal:
            return self._hear_out()
        try:
            self.secure.do_handshake()
        except ssl.SSLWantReadError:
            return selectors.EVENT_READ
        except ssl.SSLWantWriteError:
            return selectors.EVENT_WRITE
        except ssl.SSLError as error:
            return self._refuse(str(error))
        return 0

    def is_answered(self) -> bool:
        """Tell whether the client's whole hello has come: only then is a cipher agreed on."""
        return self.secure.cipher() is not None

    def _refuse(self, why: str) -> int:
        """Leave the client the alert that tells it why.

        It may already have sent its first request. Closing now would reset the connection and lose
        the alert: so its bytes are taken first.
        """
        self._refusal = why
        self.deadline = min(self.deadline, time.monotonic() + FAREWELL_TIMEOUT)
        socket.socket.shutdown(self.secure, socket.SHUT_WR)
        return self._hear_out()

    def _hear_out(self) -> int:
        with contextlib.suppress(BlockingIOError):
            if not socket.socket.recv(self.secure, MAX_HEAD):
                raise ConnectionError(self._refusal)
        return selectors.EVENT_READ


class Handshakes:
    """All of them under way, in one thread: a crowd costs no more than its descriptors.

    Who has said nothing yet, who has said a part of a hello, and whose hello was answered are
    counted apart: neither idle nor dripping connections can push out a client in the middle of its
    handshake. Where there is no room for one more, the address that has most of them loses its
    oldest.
    """

    def __init__(self, context: ssl.SSLContext, listener: socket.socket) -> None:
        self._context = context
        self._listener = listener
        self._silent: dict[Handshake, None] = {}
        self._spoken: dict[Handshake, None] = {}
        self._answered: dict[Handshake, None] = {}
        self._selector = selectors.DefaultSelector()
        self._selector.register(listener, selectors.EVENT_READ)
        self._refused = 0
        self._told = float("-inf")

    def turn(self) -> list[ssl.SSLSocket]:
        """Wait for what comes next, at most a second; return the clients that proved themselves."""
        events = self._selector.select(1)
        proven = [key.data.secure for key, _ in events if key.data and self._advance(key.data)]
        if any(not key.data for key, _ in events):
            self._accept_some()
        now = time.monotonic()
        for crowd in self._crowds():
            for late in [each for each in crowd if each.deadline < now]:
                self._drop(late, "it took too long to prove itself")
        return proven

    def _crowds(self) -> tuple[dict[Handshake, None], ...]:
        return (self._silent, self._spoken, self._answered)

    def _advance(self, handshake: Handshake) -> bool:
        if not any(handshake in crowd for crowd in self._crowds()):
            return False  # it was dropped in this turn
        try:
            awaited = handshake.advance()
        except OSError as error:
            self._drop(handshake, str(error))
            return False
        if awaited:
            self._selector.modify(handshake.secure, awaited, handshake)
            crowd = self._answered if handshake.is_answered() else self._spoken
            if handshake not in crowd:
                self._forget(handshake)
                crowd[handshake] = None
                self._make_room(crowd)
            return False
        self._selector.unregister(handshake.secure)
        self._forget(handshake)
        return True

    def _accept_some(self) -> None:
        """Accept, but not for ever: those under way have their turn, too."""
        try:
            for _ in range(MAX_ACCEPTED):
                connection, peer = self._listener.accept()
                self._begin(connection, peer[0])
        except BlockingIOError:
            return
        except OSError as error:
            # EMFILE above all. What cannot be accepted stays in the kernel's queue.
            self._tell(f"a connection could not be accepted: {error}")
            if not self._drop_one(max(self._crowds(), key=len)):
                time.sleep(PAUSE)

    def _begin(self, connection: socket.socket, peer: str) -> None:
        try:
            handshake = Handshake(connection, peer, self._context)
        except (OSError, ValueError) as error:  # it has left already
            connection.close()
            self._tell(str(error))
            return
        self._silent[handshake] = None
        self._selector.register(handshake.secure, selectors.EVENT_READ, handshake)
        self._make_room(self._silent)

    def _make_room(self, crowd: dict[Handshake, None]) -> None:
        if len(crowd) > MAX_HANDSHAKES:
            self._drop_one(crowd)

    def _drop_one(self, crowd: dict[Handshake, None]) -> bool:
        """Drop the oldest of the address that has most; say whether there was one."""
        if not crowd:
            return False
        peers = [each.peer for each in crowd]
        # Not collections.Counter: it imports a module when it is asked, which takes a descriptor.
        fullest = max(set(peers), key=peers.count)
        self._drop(next(each for each in crowd if each.peer == fullest), "there are too many")
        return True

    def _drop(self, handshake: Handshake, why: str) -> None:
        self._forget(handshake)
        with contextlib.suppress(KeyError, ValueError):
            self._selector.unregister(handshake.secure)
        handshake.secure.close()
        self._tell(f"{handshake.peer} was refused: {why}")

    def _forget(self, handshake: Handshake) -> None:
        for crowd in self._crowds():
            crowd.pop(handshake, None)

    def _tell(self, sentence: str) -> None:
        """Say it, but no more than once in ten seconds: strangers must not fill the journal."""
        self._refused += 1
        if time.monotonic() - self._told >= 10:
            print(f"{sentence} ({self._refused} in all)", flush=True)
            self._told = time.monotonic()


class Service(NamedTuple):
    """What all connections share; a place is a pair of buffers, which bounds the memory."""

    devices: Devices
    key: bytes
    places: threading.BoundedSemaphore


def keep_alive(connection: socket.socket) -> None:
    """Notice within half a minute that a client is gone which does not say so."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in ((socket.TCP_KEEPIDLE, 10), (socket.TCP_KEEPINTVL, 5)):
        connection.setsockopt(socket.IPPROTO_TCP, option, value)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 4)


def converse(secure: ssl.SSLSocket, service: Service) -> None:
    """Serve one client until it leaves; a broken connection is a line in the journal."""
    try:
        with secure:
            secure.settimeout(IDLE_TIMEOUT)
            keep_alive(secure)
            if not service.places.acquire(timeout=PLACE_TIMEOUT):
                raise ConnectionError(f"{MAX_CONNECTIONS} connections are in use")
            try:
                ServedConnection(Secured(secure), service.devices, service.key).run()
            finally:
                service.places.release()
    except OSError as error:
        print(f"connection ended: {error}", flush=True)


def notify_ready() -> None:
    """Tell systemd (Type=notify) that clients can connect; sd_notify(3)."""
    path = os.environ.get("NOTIFY_SOCKET", "")
    if not path:
        return
    address = "\0" + path[1:] if path.startswith("@") else path
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notification:
        notification.sendto(b"READY=1", address)


def serve(config: dict[str, Any]) -> None:
    """Listen until the process is ended."""
    service = Service(
        Devices(config["disks"]),
        bytes.fromhex(config["digest_key"]),
        threading.BoundedSemaphore(MAX_CONNECTIONS),
    )
    family = socket.AF_INET6 if ":" in config["address"] else socket.AF_INET
    place = (config["address"], config["port"])
    with socket.create_server(place, family=family, backlog=BACKLOG) as listener:
        listener.setblocking(False)
        handshakes = Handshakes(tls_context(config), listener)
        print(f"listening on port {listener.getsockname()[1]}", flush=True)
        notify_ready()
        while True:
            receive(handshakes, service)


def receive(handshakes: Handshakes, service: Service) -> None:
    """Give a thread to each client that has proven itself; no failure ends the listening."""
    try:
        for secure in handshakes.turn():
            _attend(secure, service)
    except Exception as error:  # noqa: BLE001 - whatever it is, the next client is listened to
        print(f"the listener failed, and goes on: {error!r}", flush=True)
        time.sleep(PAUSE)


def _attend(secure: ssl.SSLSocket, service: Service) -> None:
    try:
        threading.Thread(target=converse, args=(secure, service), daemon=True).start()
    except RuntimeError as error:  # no thread is to be had
        print(f"connection ended: {error}", flush=True)
        secure.close()


def serve_stdio(config: dict[str, Any]) -> None:
    """Serve the one client at standard input and output, until it leaves."""
    sink = os.dup(1)
    os.dup2(2, 1)  # whatever is printed by accident must not become part of an answer
    try:
        key = bytes.fromhex(config["digest_key"])
        ServedConnection(Pipes(0, sink), Devices(config["disks"]), key).run()
    except OSError as error:
        sys.exit(f"connection ended: {error}")


def use_ciphers(ciphers: str) -> None:
    """Start this program again with an OpenSSL configuration that puts our ciphers first."""
    marker = "TRADEWIND_CIPHERS"
    if os.environ.get(marker) == ciphers:
        return
    sections = (
        "openssl_conf = a\n[a]\nssl_conf = b\n[b]\nsystem_default = c\n"
        f"[c]\nCiphersuites = {ciphers}\n"
    )
    descriptor = os.memfd_create("openssl.cnf", 0)
    os.write(descriptor, sections.encode())
    environment = {**os.environ, marker: ciphers, "OPENSSL_CONF": f"/proc/self/fd/{descriptor}"}
    os.execve(sys.executable, [sys.executable, "-I", *sys.argv], environment)  # noqa: S606 - no shell


def main() -> None:
    """Read the configuration and serve."""
    over_stdio = sys.argv[1] == "--stdio"
    if not over_stdio:
        use_ciphers(CIPHERS)
    with open(sys.argv[-1], encoding="utf-8") as file:  # noqa: PTH123 - one call, no pathlib
        config = json.load(file)
    (serve_stdio if over_stdio else serve)(config)


if __name__ == "__main__":
    main()
