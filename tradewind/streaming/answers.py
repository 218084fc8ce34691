# SPDX-License-Identifier: Apache-2.0
"""Read the writer service's answers, one after the other, from whatever carries them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from tradewind.model.record import faults
from tradewind.plain_text import plain
from tradewind.units import KiB

_HEAD_LIMIT: Final = 64 * KiB
# Twice the longest answer that we ever ask for, which are the digests of 4,096 ranges.
BODY_LIMIT: Final = 256 * KiB
_SENTENCE_LIMIT: Final = 500


class ServiceFacts(BaseModel):
    """What the service says of itself: the bytes of each disk, and what it can do."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    disks: dict[str, int]
    digests: tuple[str, ...] = Field(max_length=16)
    zstd: bool


class _Refusal(BaseModel):
    error: str


_FACTS: Final = TypeAdapter(ServiceFacts)
_REFUSAL: Final = TypeAdapter(_Refusal)


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """A status and a body."""

    status: int
    body: bytes

    def sentence(self) -> str:
        """Return why the service refused."""
        try:
            said = _REFUSAL.validate_json(self.body).error
        except ValidationError:
            return f"status {self.status} without a reason"
        return plain(said[:_SENTENCE_LIMIT], _SENTENCE_LIMIT)


def read_facts(body: bytes) -> ServiceFacts:
    """Read what the service says of itself; ValueError when it is something else."""
    try:
        return _FACTS.validate_json(body)
    except ValidationError as error:
        raise ValueError(f"it tells of itself: {plain(faults(error))}") from None


class Answers:
    """The answers that come through `receive`, which returns nothing when the far end has left."""

    def __init__(self, receive: Callable[[int], bytes]) -> None:
        self._receive = receive
        self._rest = b""

    def next(self) -> HttpResponse:
        """Wait for one; OSError or ValueError when it cannot come."""
        while b"\r\n\r\n" not in self._rest:
            self._rest += self._some()
            if len(self._rest) > _HEAD_LIMIT:
                raise OSError("the answer has no end of its head")
        head, _, body = self._rest.partition(b"\r\n\r\n")
        status, length = _parse_head(head)
        if length > BODY_LIMIT:
            raise ValueError(f"an answer of {length} bytes; it may have {BODY_LIMIT}")
        parts, missing = [body], length - len(body)
        while missing > 0:
            parts.append(self._some())
            missing -= len(parts[-1])
        whole = b"".join(parts)
        self._rest = whole[length:]
        return HttpResponse(status, whole[:length])

    def _some(self) -> bytes:
        data = self._receive(_HEAD_LIMIT)
        if not data:
            raise ConnectionResetError("the writer service closed it")
        return data


def _parse_head(head: bytes) -> tuple[int, int]:
    """Take the status and the length of the body from an answer's head."""
    lines = head.decode("latin-1").split("\r\n")
    _, _, status = lines[0].partition(" ")
    for line in lines[1:]:
        name, _, value = line.partition(":")
        if name.strip().lower() == "content-length":
            return _number(status[:3]), _number(value.strip()[:20])
    raise ValueError("the answer does not say how long it is")


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise ValueError("the answer is no HTTP/1.1")
    return int(text)
