# SPDX-License-Identifier: Apache-2.0
"""Why an option is refused, in words that name it."""

import contextlib
import difflib
from collections.abc import Iterable, Iterator
from typing import Final

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from tradewind.errors import OptionError

# How much a name has to look like a known one before it is suggested (difflib's own default 0.6
# takes use_vnc for use_config_drive).
_ALIKE: Final = 0.7


@contextlib.contextmanager
def in_words(known: Iterable[str]) -> Iterator[None]:
    """Turn pydantic's refusal into one OptionError that names every option it objects to."""
    try:
        yield
    except ValidationError as error:
        # OptionError is no ValueError: pydantic lets it through as it is.
        raise refusal(error.errors(include_url=False, include_input=False), known) from None


def refusal(details: list[ErrorDetails], known: Iterable[str]) -> OptionError:
    """Say all objections at once; the rejected values stay unsaid."""
    sentences = dict.fromkeys(_sentence(item) for item in details)
    unknown = [str(item["loc"][0]) for item in details if item["type"] == "extra_forbidden"]
    return OptionError("; ".join(sentences), _suggestion(unknown, known))


def _sentence(item: ErrorDetails) -> str:
    name = str(item["loc"][0]) if item["loc"] else "?"
    if item["type"] == "extra_forbidden":
        return f"unknown option “{name}”"
    reason = item["msg"].removeprefix("Value error, ")
    return f"option {name}: {reason[:1].lower()}{reason[1:]}"


def _suggestion(unknown: list[str], known: Iterable[str]) -> str:
    names = list(known)
    hints = []
    for name in unknown:
        near = difflib.get_close_matches(name, names, n=1, cutoff=_ALIKE)
        hints.append(f"did you mean {near[0]}?" if near else f"“{name}” is none of the options")
    return "; ".join(hints)
