# SPDX-License-Identifier: Apache-2.0
r"""A whole hive, read and changed by the paths of its keys.

Paths are written as Windows does, without the name of the hive: ControlSet001\Services\disk. As
in Windows, capital letters do not matter in the names of keys and values.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from tradewind.errors import InspectionError, MorphingError
from tradewind.morphing.windows.hives.libhivex import Handle
from tradewind.morphing.windows.hives.replay import Replayed, replayed
from tradewind.morphing.windows.hives.values import Value
from tradewind.morphing.windows.hives.walk import SEGMENT
from tradewind.plain_text import printable
from tradewind.private_folders import private_folder

_NOTHING: Final = Value(-1, b"")


@dataclass(frozen=True, slots=True)
class Change:
    """One difference that was made; `name` is empty for a key's default value.

    `before` and `after` are None where the value or the key (`whole_key`) was not, or is no more.
    """

    path: str
    name: str
    before: Value | None
    after: Value | None
    whole_key: bool = False

    def __str__(self) -> str:
        if self.whole_key:
            return f"{self.path} removed"
        was = f" (was {printable(str(self.before))})" if self.before else ""
        return f"{self.path}: {self.name or '(default)'} = {printable(str(self.after))}{was}"


class Hive:
    """An open hive. `changes` are those made so far; a value set to what it is makes none."""

    def __init__(self, name: str, handle: Handle) -> None:
        self.name = name
        self.changes: list[Change] = []
        self._handle = handle

    def has(self, path: str) -> bool:
        """Whether a key exists."""
        return bool(self._find(path))

    def subkeys(self, path: str) -> tuple[str, ...]:
        """Name the keys below one; none when there is no such key."""
        node = self._find(path)
        return tuple(map(self._handle.name, self._handle.children(node))) if node else ()

    def values(self, path: str) -> dict[str, Value]:
        """Read all values of a key, by name; none when there is no such key."""
        node = self._find(path)
        found = self._handle.values(node) if node else []
        return {self._handle.value_name(v): Value(*self._handle.value(v)) for v in found}

    def value(self, path: str, name: str) -> Value | None:
        """Read one value; None when there is none."""
        node = self._find(path)
        return self._value(node, name) if node else None

    def text(self, path: str, name: str) -> str:
        """Read a string; "" when there is none."""
        return (self.value(path, name) or _NOTHING).text()

    def texts(self, path: str, name: str) -> tuple[str, ...]:
        """Read a list of strings; none when there is none."""
        return (self.value(path, name) or _NOTHING).texts()

    def number(self, path: str, name: str) -> int | None:
        """Read a number; None when there is none."""
        return (self.value(path, name) or _NOTHING).number()

    def set(self, path: str, name: str, value: Value) -> None:
        """Set a value; the key and those above it are made where they are not."""
        node = self._make(path)
        before = self._value(node, name)
        if before != value:
            self._require_small(path, [value, *self.values(path).values()])
            self._handle.set_value(node, name, value.kind, value.content)
            self.changes.append(Change(path, name, before, value))

    def _require_small(self, path: str, values: Sequence[Value]) -> None:
        """Refuse what hivex would spoil.

        It writes all values of a key anew, and large ones not in segments, as Windows reads them.
        """
        if any(len(value.content) > SEGMENT for value in values):
            raise MorphingError(
                f"a value of {path} in the registry hive {self.name} is larger than {SEGMENT} "
                "bytes, beside which nothing can be written",
                "remove that value on the source, and transfer again",
            )

    def set_all(self, path: str, wanted: dict[str, Value]) -> None:
        """Set several values of a key; its others stay."""
        for name, value in wanted.items():
            self.set(path, name, value)

    def remove(self, path: str) -> None:
        """Remove a key with all that is below it; nothing happens when there is none."""
        node = self._find(path)
        if node:
            self._read_all(node)
            self._handle.delete(node)
            self.changes.append(Change(path, "", None, None, whole_key=True))

    def _read_all(self, node: int) -> None:
        """Read all below a key: an error here, where hivex would end this process when it deletes.

        It takes it for granted that a value has data where it says (an assertion of its own).
        """
        waiting = [node]
        while waiting:
            here = waiting.pop()
            for value in self._handle.values(here):
                self._handle.value(value)
            waiting += self._handle.children(here)

    def _value(self, node: int, name: str) -> Value | None:
        for value in self._handle.values(node):
            if self._handle.value_name(value).lower() == name.lower():
                return Value(*self._handle.value(value))
        return None

    def _find(self, path: str) -> int:
        node = self._handle.root()
        for name in path.split("\\"):
            node = self._handle.child(node, name)
            if not node:
                return 0
        return node

    def _make(self, path: str) -> int:
        node = self._handle.root()
        for name in path.split("\\"):
            node = self._handle.child(node, name) or self._handle.add_child(node, name)
        return node


@dataclass(slots=True)
class Edited:
    """A hive that is changed, and its `content` once the edit is over."""

    hive: Hive
    content: bytes


@contextmanager
def opened(name: str, whole: Replayed) -> Iterator[Hive]:
    """Lend a hive; changes to it are kept nowhere."""
    with _handle(whole.content) as handle:
        yield Hive(name, handle)


@contextmanager
def editing(name: str, whole: Replayed) -> Iterator[Edited]:
    """Lend a hive; `content` of what is lent has the changes afterwards.

    It is walked again before it is given: MorphingError when the edit damaged it. Without changes
    it is the replayed hive.
    """
    with private_folder() as folder, _handle(whole.content) as handle:
        edited = Edited(Hive(name, handle), whole.content)
        yield edited
        if edited.hive.changes:
            handle.commit(folder / name)
            edited.content = _walked(name, (folder / name).read_bytes())


@contextmanager
def _handle(content: bytes) -> Iterator[Handle]:
    """Lend hivex a hive; only such as were walked get there."""
    with private_folder() as folder:
        path = folder / "hive"
        path.write_bytes(content)
        handle = Handle(path)
    try:
        yield handle
    finally:
        handle.close()


def _walked(name: str, content: bytes) -> bytes:
    try:
        return replayed(name, content).content
    except InspectionError as error:
        raise MorphingError(
            f"after the edit, {error.message}",
            "report this with the version of libhivex; the guest is as it was",
        ) from None
