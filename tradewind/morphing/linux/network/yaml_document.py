# SPDX-License-Identifier: Apache-2.0
"""YAML files of a guest, read within bounds and written with their comments kept."""

import io
import re
from typing import Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.error import YAMLError
from ruamel.yaml.events import AliasEvent, CollectionEndEvent, CollectionStartEvent, ScalarEvent

from tradewind.errors import MorphingError
from tradewind.units import KiB

# A hundred interfaces take about 20 KiB; the parser reads some 100 KiB in a second.
MAX_TEXT: Final = 128 * KiB
_MAX_DEPTH: Final = 20
# An alias costs nothing by itself; those of aliases of aliases grow without bounds when walked.
_MAX_ALIASES: Final = 100

_INDENTED: Final = re.compile(r"(?m)^ {1,8}(?=[^ #\n])")
_KEY_AND_ITEM: Final = re.compile(r"(?m)^( *)[^ #\n-][^\n]*:[ \t]*\n( *)(- +)\S")


def read(path: str, text: str) -> CommentedMap:
    """Read a document whose top is a mapping (an empty one is none); MorphingError names it."""
    if len(text) > MAX_TEXT:
        raise MorphingError(f"the guest's {path} is larger than {MAX_TEXT // KiB} KiB")
    try:
        _refuse_bombs(path, text)
        document: Any = _yaml().load(text)
    except (YAMLError, RecursionError, ValueError, AttributeError) as error:
        raise MorphingError(
            f"the guest's {path} is not YAML: {str(error)[:200]}",
            "mend the file on the source (`netplan get` reads it), and transfer again",
        ) from None
    return document if isinstance(document, CommentedMap) else CommentedMap()


def written(document: CommentedMap, like: str) -> str:
    """Write a document with the indentation of the text that it was read from."""
    yaml = _yaml()
    offset, width = _sequences(like)
    mapping = len((_INDENTED.search(like) or [""])[0])
    yaml.indent(mapping=mapping or 2, sequence=offset + width, offset=offset)
    stream = io.StringIO()
    yaml.dump(document, stream)
    return stream.getvalue()


def _yaml() -> YAML:
    yaml = YAML(typ="rt", pure=True)
    yaml.preserve_quotes = True
    yaml.width = 4096
    yaml.allow_duplicate_keys = True
    return yaml


def _sequences(like: str) -> tuple[int, int]:
    """Return how far a dash is from its key, and what follows it from the dash."""
    match = _KEY_AND_ITEM.search(like)
    if match is None or len(match[2]) < len(match[1]):
        return 2, 2
    return len(match[2]) - len(match[1]), len(match[3])


def _refuse_bombs(path: str, text: str) -> None:
    """Look at the events alone, before anything is built of them."""
    depth = aliases = 0
    for event in _yaml().parse(text):
        depth += isinstance(event, CollectionStartEvent)
        depth -= isinstance(event, CollectionEndEvent)
        aliases += isinstance(event, AliasEvent)
        merge = isinstance(event, ScalarEvent) and event.value == "<<"
        if depth > _MAX_DEPTH or aliases > _MAX_ALIASES or merge:
            raise MorphingError(
                f"the guest's {path} nests, repeats or merges more than Netplan reads",
                "write the file without anchors and merges on the source, and transfer again",
            )
