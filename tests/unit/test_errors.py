# SPDX-License-Identifier: Apache-2.0
"""The tree as drawn, and as it is."""

import pickle
import re
from collections.abc import Iterator

import pytest

from tradewind import errors
from tradewind.errors import TradewindError

_LINE = re.compile(r"^(?P<indent>[│├└─ ]*)(?P<name>[A-Z]\w+Error)\b(?P<rest>.*)$")


def tree(root: type[TradewindError]) -> Iterator[type[TradewindError]]:
    yield root
    for child in root.__subclasses__():
        if child.__module__ == errors.__name__:
            yield from tree(child)


def drawing() -> list[tuple[str, str, str]]:
    """Read the drawing: name, parent, what stands behind the name."""
    lines, parents = [], [""]
    for line in (errors.__doc__ or "").splitlines():
        found = _LINE.match(line)
        if found:
            depth = len(found["indent"]) // 4
            del parents[depth + 1 :]
            lines.append((found["name"], parents[-1], found["rest"]))
            parents.append(found["name"])
    return lines


ALL = list(tree(TradewindError))


def test_drawing_is_the_tree() -> None:
    drawn = {(name, parent) for name, parent, _ in drawing()}
    real = {
        (kind.__name__, base.__name__ if issubclass(base, TradewindError) else "")
        for kind in ALL
        for base in kind.__bases__
    }
    assert drawn == real
    assert len(drawing()) == len(drawn)


def test_drawing_marks_what_is_transient() -> None:
    marked = {name for name, _, rest in drawing() if rest.rstrip().endswith("(transient)")}
    assert marked == {kind.__name__ for kind in ALL if kind.transient}


@pytest.mark.parametrize("kind", ALL)
def test_every_error_survives_pickling(kind: type[TradewindError]) -> None:
    raised = kind("pool “fast” is full", "make room", evidence="0 B free")
    again = pickle.loads(pickle.dumps(raised))  # noqa: S301
    assert type(again) is kind
    assert (again.message, again.hint) == ("pool “fast” is full", "make room")
    assert again.evidence == "0 B free"
    assert again.args == kind("pool “fast” is full", "make room").args
    assert str(again) == "pool “fast” is full\n  → make room"


@pytest.mark.parametrize("kind", ALL)
def test_every_error_says_what_it_means(kind: type[TradewindError]) -> None:
    assert kind.__doc__
    assert kind.__doc__.endswith(".")
    assert str(kind("pool “fast” is full")) == "pool “fast” is full"


def test_several_problems_are_still_several_after_pickling() -> None:
    several = errors.SeveralProblemsError.of([errors.OptionError("a", "b"), errors.BusyError("c")])
    again = pickle.loads(pickle.dumps(several))  # noqa: S301
    assert str(again) == str(several)
    assert [str(problem) for problem in again.problems] == ["a\n  → b", "c"]
