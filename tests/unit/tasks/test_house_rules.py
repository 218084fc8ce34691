# SPDX-License-Identifier: Apache-2.0
"""Tasks are thin, flows are the runbook: rules of the house, read from the source."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
MODULES = sorted((ROOT / "tasks").rglob("*.py"))
FLOWS = sorted((ROOT / "flows").glob("*.py"))

# Doors that a step may open, one inside or after the other.
DOORS = 2
# What a function of tasks/ may have that is no step: it lends, or puts a report together.
MOST_LINES = 32
MOST_BRANCHES = 5
BRANCHES = (ast.If, ast.IfExp, ast.For, ast.While, ast.Try, ast.Match, ast.comprehension)
LOGIC = (ast.Try, ast.TryStar, ast.For, ast.While, ast.FunctionDef, ast.ClassDef)


def decorators(function: ast.FunctionDef) -> Iterator[str]:
    for decorator in function.decorator_list:
        called = decorator.func if isinstance(decorator, ast.Call) else decorator
        yield ast.unparse(called)


def functions(paths: list[Path], decorator: str) -> list[tuple[str, ast.FunctionDef]]:
    return [
        (f"{path.stem}.{node.name}", node)
        for path in paths
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef) and decorator in decorators(node)
    ]


STEPS = functions(MODULES, "step")
RUNBOOKS = functions(FLOWS, "flow")


def inside(function: ast.FunctionDef) -> Iterator[ast.AST]:
    for statement in function.body:
        yield from ast.walk(statement)


def test_steps_were_found() -> None:
    names = {name for name, _ in STEPS}
    assert {"volumes._create", "streams.stream_disks", "workers._boot"} <= names
    assert {name for name, _ in RUNBOOKS} >= {"transfer.transfer", "deploy.deploy", "sweep.sweep"}


@pytest.mark.parametrize(("name", "function"), STEPS, ids=[name for name, _ in STEPS])
def test_step_opens_a_door_or_two_and_holds_no_logic(name: str, function: ast.FunctionDef) -> None:
    doors = [node for node in inside(function) if isinstance(node, ast.With)]
    assert len(doors) <= DOORS
    assert not [ast.unparse(node) for node in inside(function) if isinstance(node, LOGIC)]
    assert ast.get_docstring(function)


def undecided(path: Path) -> Iterator[ast.FunctionDef]:
    """Functions of tasks/ that are no step; what they decide belongs into tradewind/."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef) and "step" not in decorators(node):
            yield node


@pytest.mark.parametrize("path", MODULES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_what_is_no_step_stays_small(path: Path) -> None:
    for function in undecided(path):
        lines = (function.end_lineno or 0) - function.lineno + 1
        assert lines <= MOST_LINES, function.name
        branches = [node for node in inside(function) if isinstance(node, BRANCHES)]
        assert len(branches) <= MOST_BRANCHES, function.name


@pytest.mark.parametrize(("name", "function"), RUNBOOKS, ids=[name for name, _ in RUNBOOKS])
def test_flow_catches_nothing(name: str, function: ast.FunctionDef) -> None:
    assert not [node for node in inside(function) if isinstance(node, ast.Try | ast.While)]
    assert ast.get_docstring(function)


@pytest.mark.parametrize(
    "path", [*MODULES, *FLOWS], ids=lambda path: f"{path.parent.name}/{path.stem}"
)
def test_steps_are_declared_in_one_way_only(path: Path) -> None:
    """What is submitted or mapped runs in a thread that a cancellation does not reach."""
    tree = ast.parse(path.read_text())
    called = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    assert not called & {"submit", "map", "delay"}
    imported = {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module == "prefect"
        for alias in node.names
    }
    assert "task" not in imported or path.name == "step.py"


def test_no_class_name_means_two_things() -> None:
    """A reader who has met a name has met it everywhere."""
    places: dict[str, set[str]] = {}
    for room in ("tradewind", "tasks", "flows", "cli", "blocks", "deployments"):
        for file in (ROOT / room).rglob("*.py"):
            for found in ast.walk(ast.parse(file.read_text())):
                if isinstance(found, ast.ClassDef):
                    places.setdefault(found.name, set()).add(str(file.relative_to(ROOT)))
    twice = {name: sorted(files) for name, files in places.items() if len(files) > 1}
    assert twice == {}
