# SPDX-License-Identifier: Apache-2.0
"""A root file system that is just large enough for `chroot`, made from this machine's programs."""

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

PROGRAMS = (
    "sh", "env", "cat", "head", "test", "readlink", "mkdir", "dirname", "rm", "cp", "mv", "chmod",
    "stat", "ls", "grep", "sleep", "echo", "tr",
)  # fmt: skip
FOLDERS = ("dev", "dev/pts", "proc", "sys", "run", "tmp", "etc", "usr/sbin", "root", "boot")


def build(root: Path, programs: Sequence[str] = ()) -> Path:
    for folder in FOLDERS:
        (root / folder).mkdir(parents=True, exist_ok=True)
    (root / "usr" / "bin").mkdir(parents=True, exist_ok=True)
    (root / "bin").symlink_to("usr/bin")
    for program in (*PROGRAMS, *programs):
        found = shutil.which(program)
        assert found, program
        shutil.copy2(Path(found).resolve(), root / "usr/bin" / program)
        _copy_libraries(Path(found), root)
    return root


def copy(template: Path, root: Path) -> None:
    """Make another root of one that was built, without its bytes."""
    shutil.copytree(template, root, symlinks=True, copy_function=os.link)


def _copy_libraries(program: Path, root: Path) -> None:
    listed = subprocess.run(["ldd", program], capture_output=True, text=True, check=True)
    for library in re.findall(r"(/\S+)", listed.stdout):
        target = root / library.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.exists():
            shutil.copy2(Path(library).resolve(), target)
