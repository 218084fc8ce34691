# SPDX-License-Identifier: Apache-2.0
"""The few functions of libnbd's C library that a reader needs, through cffi.

Signatures as in libnbd(3) and the manual page of each function, libnbd 1.14. cffi releases the
GIL around each call. libnbd keeps the text of an error per thread.
"""

from collections import deque
from functools import cache
from typing import Any, Final, Self

import cffi

from tradewind.errors import NotFoundError, StreamError

LIBRARY: Final = "libnbd.so.0"

_ffi: Final = cffi.FFI()
_ffi.cdef("""
struct nbd_handle;
typedef struct {
  int (*callback) (void *user_data, const char *metacontext, uint64_t offset,
                   uint32_t *entries, size_t nr_entries, int *error);
  void *user_data;
  void (*free) (void *user_data);
} nbd_extent_callback;
typedef struct {
  int (*callback) (void *user_data, int *error);
  void *user_data;
  void (*free) (void *user_data);
} nbd_completion_callback;
struct nbd_handle *nbd_create (void);
void nbd_close (struct nbd_handle *h);
const char *nbd_get_error (void);
int nbd_set_export_name (struct nbd_handle *h, const char *export_name);
int nbd_add_meta_context (struct nbd_handle *h, const char *name);
int nbd_set_pread_initialize (struct nbd_handle *h, bool request);
int nbd_connect_socket (struct nbd_handle *h, int sock);
int nbd_can_meta_context (struct nbd_handle *h, const char *metacontext);
int64_t nbd_get_size (struct nbd_handle *h);
int64_t nbd_aio_pread (struct nbd_handle *h, void *buf, size_t count, uint64_t offset,
                       nbd_completion_callback completion_callback, uint32_t flags);
int nbd_aio_command_completed (struct nbd_handle *h, uint64_t cookie);
int nbd_poll (struct nbd_handle *h, int timeout);
int nbd_block_status (struct nbd_handle *h, uint64_t count, uint64_t offset,
                      nbd_extent_callback extent_callback, uint32_t flags);
""")


_NO_CALLBACK: Final = _ffi.new("nbd_completion_callback *")


# Two for each range: the protocol allows 2^20 of them in a reply (nbd/doc/proto.md).
_ENTRIES_LIMIT: Final = 2 << 20


class _Reply:
    """What one block status request brought for one metadata context."""

    __slots__ = ("context", "entries")

    def __init__(self, context: bytes) -> None:
        self.context = context
        self.entries: list[int] = []


# One callback for all requests, alive as long as the module: libnbd may call it at any moment
# of a request. The request's own reply travels through `user_data`.
@_ffi.callback(
    "int (void *, const char *, uint64_t, uint32_t *, size_t, int *)",
    error=-1,
)
def _collect(
    user_data: Any, metacontext: Any, _offset: int, entries: Any, count: int, _error: Any
) -> int:
    reply: _Reply = _ffi.from_handle(user_data)
    if len(reply.entries) + count > _ENTRIES_LIMIT:
        return -1
    if _ffi.string(metacontext) == reply.context:
        reply.entries.extend(entries[index] for index in range(count))
    return 0


@cache
def _library() -> Any:
    try:
        return _ffi.dlopen(LIBRARY)
    except OSError:
        raise NotFoundError(
            f"The library {LIBRARY} is not on this machine",
            "install libnbd (the package is libnbd0 on Debian, libnbd0 on SUSE, libnbd on Fedora)",
        ) from None


class Connection:
    """One libnbd handle; used by one thread at a time."""

    def __init__(self, export_name: str, contexts: tuple[str, ...]) -> None:
        self._lib = _library()
        self._handle = self._lib.nbd_create()
        if self._handle == _ffi.NULL:
            raise StreamError(f"libnbd: {self._last_error()}")
        self._check(self._lib.nbd_set_export_name(self._handle, export_name.encode()))
        for context in contexts:
            self._check(self._lib.nbd_add_meta_context(self._handle, context.encode()))
        # A failed read raises, so nobody ever sees what was in the buffer before.
        self._check(self._lib.nbd_set_pread_initialize(self._handle, False))

    def connect(self, descriptor: int) -> Self:
        """Shake hands over a connected socket, which belongs to libnbd from then on."""
        self._check(self._lib.nbd_connect_socket(self._handle, descriptor))
        return self

    def size(self) -> int:
        """Bytes of the export."""
        return self._check(self._lib.nbd_get_size(self._handle))

    def has_context(self, name: str) -> bool:
        """Whether the server agreed to answer for a metadata context."""
        return bool(self._check(self._lib.nbd_can_meta_context(self._handle, name.encode())))

    def read_into(self, buffer: memoryview, offset: int, step: int, at_once: int) -> None:
        """Fill the buffer from `offset`, without a copy in between.

        Requests are of `step` bytes, up to `at_once` of them under way. After an error nothing
        arrives any more: only calls move libnbd on.
        """
        target = _ffi.from_buffer(buffer, require_writable=True)
        under_way: deque[int] = deque()
        for start in range(0, len(buffer), step):
            if len(under_way) == at_once:
                self._wait_for(under_way.popleft())
            count = min(step, len(buffer) - start)
            under_way.append(self._ask(target + start, count, offset + start))
        for cookie in under_way:
            self._wait_for(cookie)

    def _wait_for(self, cookie: int) -> None:
        while not self._check(self._lib.nbd_aio_command_completed(self._handle, cookie)):
            self._check(self._lib.nbd_poll(self._handle, -1))

    def _ask(self, target: Any, count: int, offset: int) -> int:
        return self._check(
            self._lib.nbd_aio_pread(self._handle, target, count, offset, _NO_CALLBACK[0], 0)
        )

    def block_status(self, context: str, count: int, offset: int) -> list[tuple[int, int]]:
        """Ask for (length, flags) pairs from `offset` on; a server may answer short or long."""
        reply = _Reply(context.encode())
        user_data = _ffi.new_handle(reply)
        closure = _ffi.new("nbd_extent_callback *", (_collect, user_data, _ffi.NULL))
        self._check(self._lib.nbd_block_status(self._handle, count, offset, closure[0], 0))
        return list(zip(reply.entries[::2], reply.entries[1::2], strict=True))

    def close(self) -> None:
        """Close the handle; a second time does nothing."""
        handle, self._handle = self._handle, _ffi.NULL
        self._lib.nbd_close(handle)

    def _check(self, result: int) -> int:
        if result < 0:
            raise StreamError(f"libnbd: {self._last_error()}")
        return result

    def _last_error(self) -> str:
        text = self._lib.nbd_get_error()
        if text == _ffi.NULL:
            return "failed without saying why"
        message: Any = _ffi.string(text)
        return str(message, errors="replace")
