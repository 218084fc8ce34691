# SPDX-License-Identifier: Apache-2.0
"""Read the writer service's answers, one after the other, from whatever carries them."""

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

_HEAD_LIMIT: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class Answer:
    """A status and a body."""

    status: int
    body: bytes

    def sentence(self) -> str:
        """Say why the service refused."""
        with suppress(ValueError, KeyError, TypeError):
            return str(json.loads(self.body)["error"])
        return f"status {self.status} without a reason"


class Answers:
    """The answers that come through `receive`, which returns nothing when the far end has left."""

    def __init__(self, receive: Callable[[int], bytes]) -> None:
        self._receive = receive
        self._rest = b""

    def next(self) -> Answer:
        """Wait for one; OSError or ValueError when it cannot come."""
        while b"\r\n\r\n" not in self._rest:
            self._rest += self._some()
            if len(self._rest) > _HEAD_LIMIT:
                raise OSError("the answer has no end of its head")
        head, _, body = self._rest.partition(b"\r\n\r\n")
        status, length = _parse_head(head)
        parts, missing = [body], length - len(body)
        while missing > 0:
            parts.append(self._some())
            missing -= len(parts[-1])
        whole = b"".join(parts)
        self._rest = whole[length:]
        return Answer(status, whole[:length])

    def _some(self) -> bytes:
        data = self._receive(_HEAD_LIMIT)
        if not data:
            raise ConnectionResetError("the writer service closed it")
        return data


def _parse_head(head: bytes) -> tuple[int, int]:
    """Take the status and the length of the body from an answer's head."""
    lines = head.decode("latin-1").split("\r\n")
    for line in lines[1:]:
        name, _, value = line.partition(":")
        if name.strip().lower() == "content-length":
            return int(lines[0].split(" ")[1]), int(value)
    raise ValueError("the answer does not say how long it is")
