# SPDX-License-Identifier: Apache-2.0
"""Where a confined QEMU may make its socket."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import libvirt
import pytest

from cli.commands.host_rules import rules_of
from tests.fakes.libvirt_fakes import FakeConnection, libvirt_error
from tests.fakes.local_remote import LocalRemote
from tradewind.domainxml.capabilities import security_models
from tradewind.errors import HypervisorError
from tradewind.host.domain import run_folders

RUN = "0123456789ab"
# As Debian 12 ships it with libvirt-daemon-system; the rules are upstream libvirt's.
PROFILE = Path("/etc/apparmor.d/abstractions/libvirt-qemu")


def capabilities(*models: str) -> str:
    described = "".join(f"<secmodel><model>{model}</model></secmodel>" for model in models)
    return f"<capabilities><host>{described}</host></capabilities>"


@pytest.mark.parametrize(
    ("models", "confinement"),
    [((), ""), (("dac",), ""), (("apparmor", "dac"), "apparmor"), (("selinux", "dac"), "selinux")],
)
def test_what_confines_qemu(
    host: FakeConnection,
    monkeypatch: pytest.MonkeyPatch,
    models: tuple[str, ...],
    confinement: str,
) -> None:
    xml = capabilities(*models)
    assert security_models(xml) == models
    monkeypatch.setattr(FakeConnection, "getCapabilities", lambda _host: xml)
    assert run_folders.confined_by(host) == confinement


def writable(profile: str) -> Iterator[re.Pattern[str]]:
    """Read the rules that let QEMU make a file of its own; see apparmor.d(5) for the globs."""
    for line in profile.splitlines():
        rule = re.match(r"\s*(?:owner )?(/\S+) (\w+),", line)
        if rule and "w" in rule.group(2):
            parts = re.split(r"(\*\*|\*|\{[^}]*\})", rule.group(1))
            yield re.compile("".join(_glob(part) for part in parts))


def _glob(part: str) -> str:
    if part in {"*", "**"}:
        return "[^/]*" if part == "*" else ".*"
    if part.startswith("{"):
        return f"(?:{'|'.join(map(re.escape, part[1:-1].split(',')))})"
    return re.escape(part)


@pytest.mark.parametrize(("confinement", "allowed"), [("apparmor", True), ("", False)])
def test_shipped_apparmor_rules_let_qemu_make_the_socket(confinement: str, allowed: bool) -> None:
    """And not where it is on hosts that confine nothing."""
    socket = str(run_folders.path_of(RUN, confinement) / "nbd.sock")
    rules = list(writable(PROFILE.read_text()))
    assert len(rules) > 5
    assert any(rule.fullmatch(socket) for rule in rules) is allowed


def test_path_of_the_socket_is_not_too_long() -> None:
    """sockaddr_un has room for 107 bytes."""
    assert len(str(run_folders.path_of(RUN, "apparmor") / "nbd.sock")) < 107


@pytest.mark.parametrize("confinement", ["", "apparmor"])
def test_folder_is_for_the_account_and_qemu_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, confinement: str
) -> None:
    monkeypatch.setattr(run_folders, "GROUP", "root")
    folder = tmp_path / run_folders.path_of(RUN, confinement).name
    for _ in range(2):
        run_folders.make(LocalRemote(), PurePosixPath(folder), confinement)
        assert oct(folder.stat().st_mode) == "0o42770"
        (folder / "left").touch()
    assert run_folders.run_of(folder.name) == RUN
    run_folders.remove(LocalRemote(), str(folder))
    assert not folder.exists()


@pytest.mark.parametrize("name", [f"x-tradewind-{RUN}", f"tradewind-{RUN}-x", "pulse-abc"])
def test_other_folders_are_not_ours(name: str) -> None:
    assert run_folders.run_of(name) is None


def test_refusal_of_a_confined_qemu_says_where_to_look() -> None:
    refusal = libvirt_error(libvirt.VIR_ERR_INTERNAL_ERROR, "Failed to bind socket")
    with pytest.raises(
        HypervisorError, match=r"old\.example: QEMU, .* confined by apparmor"
    ) as said:
        refused_by(refusal, "apparmor")
    assert "tradewind endpoint host-rules" in said.value.hint
    assert "backup_transport" in said.value.hint


@pytest.mark.parametrize(
    ("code", "confinement"),
    [(libvirt.VIR_ERR_INTERNAL_ERROR, ""), (libvirt.VIR_ERR_OPERATION_INVALID, "apparmor")],
)
def test_other_refusals_stay_as_they_are(code: int, confinement: str) -> None:
    with pytest.raises(libvirt.libvirtError):
        refused_by(libvirt_error(code, "no"), confinement)


def refused_by(error: libvirt.libvirtError, confinement: str) -> None:
    with run_folders.refusals_explained("old.example", confinement):
        raise error


def test_rules_for_hosts_are_what_their_own_programs_read(tmp_path: Path) -> None:
    """As apparmor_parser and checkmodule judge them; the kernel here has neither module."""
    profile = tmp_path / "profile"
    profile.write_text(f"abi <abi/3.0>,\nprofile qemu {{\n{rules_of('apparmor')}}}\n")
    parsed = ["apparmor_parser", "--skip-kernel-load", "--skip-cache", "--debug", str(profile)]
    said = subprocess.run(parsed, check=True, capture_output=True, text=True)
    assert "/var/tmp/tradewind-*/nbd.sock" in said.stdout
    source, module = tmp_path / "tradewind.te", tmp_path / "tradewind.mod"
    source.write_text(rules_of("selinux"))
    subprocess.run(["checkmodule", "-M", "-m", "-o", module, source], check=True)
    assert module.stat().st_size > 0
