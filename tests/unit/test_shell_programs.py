# SPDX-License-Identifier: Apache-2.0
"""Shell programs are files beside their modules, where shellcheck reads them."""

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

import tradewind
from tradewind.shell_programs import program

LIBRARY = Path(tradewind.__file__).parent
MODULES = sorted(LIBRARY.rglob("*.py"))
FILES = sorted(LIBRARY.rglob("*.sh"))
MOST_LINES = 3

# What a text of more lines has in it when it is for a shell, and hardly ever otherwise.
SHELL = re.compile(
    r"""\$\(|"\$[@*#\d]|\$[@*#]|\s(?:&&|\|\|)\s|;\s(?:then|do)\b|^\s*(?:fi|done|esac)\b"""
    r"""|^\s*set\s-[a-z]+$|^\s*(?:while|until)\s\[""",
    re.MULTILINE,
)


def programs_in(module: str) -> Iterator[int]:
    """Find the lines of a module where a shell program of more than three lines begins."""
    tree = ast.parse(module)
    own = {
        id(each.value)
        for node in ast.walk(tree)
        for each in ast.iter_child_nodes(node)
        if isinstance(each, ast.Expr)  # docstrings
    }
    for node in ast.walk(tree):
        if not isinstance(node, ast.Constant | ast.JoinedStr) or id(node) in own:
            continue
        parts = node.values if isinstance(node, ast.JoinedStr) else [node]
        words = [part.value if isinstance(part, ast.Constant) else "word" for part in parts]
        text = "".join(word for word in words if isinstance(word, str))
        lines = [line for line in text.splitlines() if line.strip()]
        if len(lines) > MOST_LINES and SHELL.search(text):
            yield node.lineno


def test_modules_and_programs_were_found() -> None:
    assert len(MODULES) > 100
    assert LIBRARY / "morphing" / "mount.sh" in FILES


def test_no_module_has_a_shell_program_of_more_than_three_lines() -> None:
    found = [
        f"{module.relative_to(LIBRARY)}:{line}"
        for module in MODULES
        for line in programs_in(module.read_text())
    ]
    assert found == []


@pytest.mark.parametrize(
    "text",
    [
        'for each; do\n    echo "$each"\ndone\nexit 0\n',
        'set -eu\ncd "$1"\nmkdir -p BOOT\nsync\n',
        "tell {X}\nif [ -e x ]; then\n    exit 1\nfi\n",
        "a=1\n\nb=$(uname)\necho $b\necho $a\n",
    ],
)
def test_the_rule_knows_a_program_when_it_sees_one(text: str) -> None:
    assert list(programs_in(f"_DO = {text!r}"))
    assert list(programs_in(f"X = 1\n_DO = f{text!r}"))
    assert list(programs_in(f"_DO = OTHERS + {text!r}"))
    assert not list(programs_in(f"def do() -> None:\n    {text!r}"))
    assert not list(programs_in(f"_DO = {text[: text.index(chr(10))]!r}"))


def test_other_texts_are_no_programs() -> None:
    assert not list(programs_in("_UNIT = '[Unit]\\nA=b\\n\\n[Service]\\nType=oneshot\\nC=d; e\\n'"))


@pytest.mark.parametrize("file", FILES, ids=lambda path: str(path.relative_to(LIBRARY)))
def test_each_program_says_what_it_is_and_a_plain_shell_understands_it(file: Path) -> None:
    lines = [line for line in file.read_text().splitlines() if not line.startswith("#!")]
    assert lines[0] == "# SPDX-License-Identifier: Apache-2.0"
    assert re.match(r"# [A-Z]", lines[1])
    subprocess.run(["sh", "-n", file], check=True)


def test_the_head_stays_out_and_the_rest_is_whole(tmp_path: Path) -> None:
    (tmp_path / "one.sh").write_text(
        "#!/bin/sh\n# What it does.\n\n# a lint exception\nfirst\n\n# why\n"
    )
    (tmp_path / "two.sh").write_text("# Functions.\nsecond() { :; }\n")
    module = str(tmp_path / "module.py")
    assert program(module, "one.sh") == "first\n\n# why\n"
    assert program(module, "two.sh", "one.sh") == "second() { :; }\nfirst\n\n# why\n"
