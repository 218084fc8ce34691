# SPDX-License-Identifier: Apache-2.0
"""Judge the words that the code is named with.

No class name means two things in the project. Each word of a class's or module's name is the
field's or plain English, as tests/field_words.txt lists them, or docs/glossary.md explains it. Run
as `python -m tests.words`; neither list may keep a word that nothing is named with.
"""

import ast
import re
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

PROJECT: Final = Path(__file__).resolve().parent.parent
ROOMS: Final = (
    "tradewind",
    "blocks",
    "tasks",
    "flows",
    "deployments",
    "cli",
    "lab",
    "images",
    "bench",
)
# A migration is called after its number, and a recipe's folder after what it builds.
_OWN_NAMES: Final = ("ledger/migrations/versions", "images/recipes")
_CAMEL: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z][a-z0-9]+|[a-z0-9]+")
_BOLD: Final = re.compile(r"\*\*([^*]+)\*\*")


def modules() -> Iterator[Path]:
    """List the project's modules, without tests."""
    for room in ROOMS:
        for path in sorted((PROJECT / room).rglob("*.py")):
            if not any(folder in path.as_posix() for folder in _OWN_NAMES):
                yield path


def classes() -> dict[str, list[str]]:
    """Find where each class is defined; a leading underscore makes no other name of it."""
    found: dict[str, list[str]] = defaultdict(list)
    for path in modules():
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ClassDef):
                found[node.name.lstrip("_")].append(f"{path.relative_to(PROJECT)}:{node.lineno}")
    return found


def words_of(name: str) -> set[str]:
    """Take a name apart: "NbdReader" and "nbd_reader" are "nbd" and "reader"."""
    return {word.lower() for part in name.split("_") for word in _CAMEL.findall(part)}


def forms(word: str) -> set[str]:
    """Tell how a list may write a word: "disks" as "disk", "capabilities" as "capability"."""
    return {word, word.removesuffix("s"), re.sub("ies$", "y", word)}


def named(defined: Mapping[str, list[str]]) -> dict[str, str]:
    """Tell for each word that is used in names one place that uses it."""
    places = {word: places[0] for name, places in defined.items() for word in words_of(name)}
    for path in modules():
        relative = path.relative_to(PROJECT)
        for part in relative.with_suffix("").parts:
            places |= {word: str(relative) for word in words_of(part.strip("_"))}
    return dict(sorted(places.items()))


def explained() -> set[str]:
    """Read the words that the glossary explains; "stand-in" is "standin" in a name."""
    text = (PROJECT / "docs/glossary.md").read_text("utf-8").replace("\n", " ")
    terms = _BOLD.findall(text.lower())
    return {
        word for term in terms for word in re.findall(r"\w+", f"{term} {term.replace('-', '')}")
    }


def listed() -> set[str]:
    """Read the field's words; a line that begins with "#" is a heading."""
    lines = (PROJECT / "tests/field_words.txt").read_text("utf-8").splitlines()
    return {word for line in lines if not line.startswith("#") for word in line.split()}


def faults() -> Iterator[str]:
    """Say which names are not as they should be."""
    defined = classes()
    for name, places in sorted(defined.items()):
        if len(places) > 1:
            yield f"{name} is defined {len(places)} times: {', '.join(places)}"
    used, field, glossary = named(defined), listed(), explained()
    for word, place in used.items():
        if not forms(word) & (field | glossary):
            yield f'"{word}" ({place}) is in neither tests/field_words.txt nor docs/glossary.md'
    written = {form for word in used for form in forms(word)}
    for word in sorted(field - written):
        yield f'nothing is named with "{word}" of tests/field_words.txt'
    for word in sorted(field & glossary):
        yield f'"{word}" of tests/field_words.txt stands in docs/glossary.md already'
    print(f"{len(defined)} class names, {len(used)} words in names, {len(field)} of the field's")


if __name__ == "__main__":
    sys.exit("\n".join(faults()) or None)
