# SPDX-License-Identifier: Apache-2.0
"""The few functions of hivex's C library that reading and editing need, through cffi.

Signatures as in hivex(3), hivex 1.3. A node and a value are offsets; 0 is none. What it allocates
is given back by free(3).
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, Final, cast

import cffi

from tradewind.errors import MorphingError, NotFoundError

LIBRARY: Final = "libhivex.so.0"
_OPEN_WRITE: Final = 4

_ffi: Final = cffi.FFI()
_ffi.cdef("""
typedef struct hive_h hive_h;
typedef struct { char *key; int t; size_t len; char *value; } hive_set_value;
hive_h *hivex_open (const char *filename, int flags);
int hivex_close (hive_h *h);
size_t hivex_root (hive_h *h);
char *hivex_node_name (hive_h *h, size_t node);
size_t *hivex_node_children (hive_h *h, size_t node);
size_t hivex_node_get_child (hive_h *h, size_t node, const char *name);
size_t *hivex_node_values (hive_h *h, size_t node);
char *hivex_value_key (hive_h *h, size_t val);
char *hivex_value_value (hive_h *h, size_t val, int *t, size_t *len);
size_t hivex_node_add_child (hive_h *h, size_t parent, const char *name);
int hivex_node_delete_child (hive_h *h, size_t node);
int hivex_node_set_value (hive_h *h, size_t node, const hive_set_value *val, int flags);
int hivex_commit (hive_h *h, const char *filename, int flags);
void free (void *pointer);
""")


@cache
def _library() -> Any:
    try:
        return _ffi.dlopen(LIBRARY)
    except OSError:
        raise NotFoundError(
            f"The library {LIBRARY} is not on this machine",
            "install hivex (the package is libhivex0 on Debian and SUSE, hivex-libs on Fedora)",
        ) from None


@cache
def _allocator() -> Any:
    return _ffi.dlopen(None)


class Handle:
    """An open hive, all of it in memory; used by one thread at a time."""

    def __init__(self, path: Path) -> None:
        self._lib = _library()
        self._handle = self._lib.hivex_open(os.fsencode(path), _OPEN_WRITE)
        if self._handle == _ffi.NULL:
            raise self._refused("opened")

    def close(self) -> None:
        """Give the memory back; what was not committed is lost."""
        self._lib.hivex_close(self._handle)

    def root(self) -> int:
        """Return the node of the root key."""
        return self._checked(self._lib.hivex_root(self._handle), "read")

    def child(self, node: int, name: str) -> int:
        """Find a subkey; capital letters do not matter. 0: there is none."""
        _ffi.errno = 0  # a sibling whose name cannot be read looks like an answer otherwise
        found = int(self._lib.hivex_node_get_child(self._handle, node, name.encode()))
        if not found and _ffi.errno:
            raise self._refused("read")
        return found

    def children(self, node: int) -> list[int]:
        """List the subkeys."""
        return self._listed(self._lib.hivex_node_children(self._handle, node))

    def name(self, node: int) -> str:
        """Return the name of a key."""
        return self._text(self._lib.hivex_node_name(self._handle, node))

    def values(self, node: int) -> list[int]:
        """List the values of a key."""
        return self._listed(self._lib.hivex_node_values(self._handle, node))

    def value_name(self, value: int) -> str:
        """Return the name of a value; empty for the default one."""
        return self._text(self._lib.hivex_value_key(self._handle, value))

    def value(self, value: int) -> tuple[int, bytes]:
        """Return the type and the bytes of a value."""
        kind, length = _ffi.new("int *"), _ffi.new("size_t *")
        found = self._lib.hivex_value_value(self._handle, value, kind, length)
        with self._lent(found):
            return kind[0], _ffi.buffer(found, length[0])[:]

    def add_child(self, node: int, name: str) -> int:
        """Make a subkey, with its parent's security descriptor."""
        made = self._lib.hivex_node_add_child(self._handle, node, name.encode())
        return self._checked(made, "extended")

    def delete(self, node: int) -> None:
        """Remove a key with all that is below it."""
        if self._lib.hivex_node_delete_child(self._handle, node):
            raise self._refused("changed")

    def set_value(self, node: int, name: str, kind: int, content: bytes) -> None:
        """Set one value of a key; the others stay."""
        key, data = _ffi.new("char[]", name.encode()), _ffi.from_buffer(content)
        value = _ffi.new("hive_set_value *", (key, kind, len(content), _ffi.cast("char *", data)))
        if self._lib.hivex_node_set_value(self._handle, node, value, 0):
            raise self._refused("changed")

    def commit(self, path: Path) -> None:
        """Write the hive to a file."""
        if self._lib.hivex_commit(self._handle, os.fsencode(path), 0):
            raise self._refused("written")

    def _listed(self, found: Any) -> list[int]:
        with self._lent(found):
            numbers: list[int] = []
            while number := found[len(numbers)]:
                numbers.append(int(number))
            return numbers

    def _text(self, found: Any) -> str:
        with self._lent(found):
            return cast(bytes, _ffi.string(found)).decode(errors="surrogateescape")

    @contextmanager
    def _lent(self, pointer: Any) -> Iterator[None]:
        """Give back what the library allocated for an answer."""
        if pointer == _ffi.NULL:
            raise self._refused("read")
        try:
            yield
        finally:
            _allocator().free(pointer)

    def _checked(self, node: int, what: str) -> int:
        if not node:
            raise self._refused(what)
        return int(node)

    @staticmethod
    def _refused(what: str) -> MorphingError:
        reason = os.strerror(_ffi.errno)
        return MorphingError(
            f"a registry hive cannot be {what}: hivex says {reason}",
            "report this with the version of libhivex; the guest is as it was",
        )
