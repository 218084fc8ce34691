# SPDX-License-Identifier: Apache-2.0
"""The programs that read network files, as judges: what they make of a text, and not we.

netplan.io, libnm, systemd-networkd, udev and ifupdown of this machine. The last but one need root:
they judge NICs in a network namespace of their own.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, cast

import pytest

NETPLAN = "/usr/libexec/netplan/generate"
NETWORKD = "/lib/systemd/systemd-networkd"
HERE = Path(__file__).parent
ISOLATED = ("unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "bash")

_ROOT = os.geteuid() == 0
_INSTALL = "sudo deployments/install-system-packages --lab"
Test = TypeVar("Test", bound=Callable[..., None])


def _judged(there: bool, by: str) -> Callable[[Test], Test]:
    """Mark a test whose judge is a program; without that the test fails, and is not skipped."""

    def mark(test: Test) -> Test:
        if there:
            return test

        def missing() -> None:
            pytest.fail(f"{by} is missing, or is not run as root: {_INSTALL}")

        return cast("Test", missing)

    return mark


needs_netplan = _judged(Path(NETPLAN).exists(), "netplan.io")
needs_networkd = _judged(_ROOT and Path(NETWORKD).exists(), "systemd-networkd")
needs_udev = _judged(_ROOT and shutil.which("udevadm") is not None, "udev")
needs_ifupdown = _judged(shutil.which("ifup") is not None, "ifupdown")
needs_libnm = _judged(
    any(Path("/usr/lib").glob("*/girepository-1.0/NM-1.0.typelib")), "gir1.2-nm-1.0"
)


def put(root: Path, texts: Mapping[str, str]) -> Path:
    """Write files below a root, readable by their owner alone."""
    for path, text in texts.items():
        local = root / path.lstrip("/")
        local.parent.mkdir(parents=True, exist_ok=True)
        local.write_text(text)
        local.chmod(0o600)
    return root


def netplan_generated(root: Path, texts: Mapping[str, str]) -> dict[str, str]:
    """Return what Netplan writes below /run for networkd and NetworkManager, by file name."""
    put(root, texts)
    _output([NETPLAN, "--root-dir", str(root)])
    found = sorted((root / "run").rglob("*"))
    return {p.name: p.read_text() for p in found if p.is_file() and p.name.startswith("1")} | {
        p.name: p.read_text() for p in found if p.suffix == ".nmconnection"
    }


def keyfile(text: str) -> dict[str, Any]:
    """Return what NetworkManager's library reads in a profile; it fails where NM drops one."""
    reader = str(HERE / "keyfile_reader.py")
    found: dict[str, Any] = json.loads(_output(["/usr/bin/python3", reader], text))
    return found


def networkd_files(root: Path, texts: Mapping[str, str], nics: Mapping[str, str]) -> dict[str, str]:
    """Say which .network file systemd-networkd takes for each NIC, "" for none."""
    folder = put(root, texts) / "etc/systemd/network"
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755)
    _open_to_all(root)
    said = _output([*ISOLATED, str(HERE / "networkd_reader.sh"), str(folder), *_words(nics)])
    return _pairs(said)


def udev_names(root: Path, texts: Mapping[str, str], nics: Mapping[str, str]) -> dict[str, str]:
    """Say what udev calls the NIC of each address; `nics` are addresses by the kernel's names."""
    put(root, texts)
    folders = [root / "etc/systemd/network", root / "etc/udev/rules.d"]
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
    reader = str(HERE / "udev_reader.sh")
    return _pairs(_output([*ISOLATED, reader, *map(str, folders), *_words(nics)]))


def ifup(root: Path, texts: Mapping[str, str], *arguments: str) -> str:
    """Return the commands that ifup would run, and what it says of what it cannot do."""
    there = {p: t.replace("/etc/network/", f"{root}/etc/network/") for p, t in texts.items()}
    main = put(root, there) / "etc/network/interfaces"
    state = root / "state"
    state.mkdir(exist_ok=True)
    for argument in arguments:
        # A VLAN brings up what carries it, unless that is up.
        carrying = argument.rpartition(".")[0]
        if carrying:
            (state / f"ifstate.{carrying}").write_text(f"{carrying}={carrying}\n")
    argv = ["ifup", "--no-act", "-i", str(main), "--state-dir", str(state), *arguments]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)
    assert "couldn't read" not in done.stderr, done.stderr
    return done.stdout + done.stderr


def _words(nics: Mapping[str, str]) -> list[str]:
    return [f"{name}={mac}" for name, mac in nics.items()]


def _pairs(said: str) -> dict[str, str]:
    return {line.split(" ")[0]: line.split(" ")[1] for line in said.splitlines()}


def _open_to_all(folder: Path) -> None:
    """Let systemd-networkd, which gives up root, reach the files."""
    for path in (folder, *folder.parents):
        if path.owner() == "root" and str(path).startswith("/tmp/"):
            path.chmod(path.stat().st_mode | 0o755)


def _output(argv: Sequence[str], text: str = "") -> str:
    done = subprocess.run(argv, input=text, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, f"{argv[0]}: {done.stdout}{done.stderr}"
    return done.stdout
