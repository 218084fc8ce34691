# SPDX-License-Identifier: Apache-2.0
"""Importing an INI file."""

from pathlib import Path

import pytest

from tradewind.errors import NotFoundError, OptionError
from tradewind.model.deploy import CpuMode
from tradewind.model.option_file import read_ini
from tradewind.model.options import ProviderOptions

GOOD = """\
[DEFAULT]
debug = true

# The provider.
[libvirt_migration_provider]
default_storage_pool = fast ; the NVMe one
migr_image_map = linux:deb.qcow2, windows:win.qcow2
migr_worker_memory = 2048  # MB
enable_vm_vnc_console = Yes
vm_console_log_dir = "/var/log/console"
cpu_mode =
set_dhcp = 0

[other_provider]
migr_wroker_memory = whatever
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "provider.conf"
    path.write_text(text)
    return path


def test_existing_file(tmp_path: Path) -> None:
    assert read_ini(write(tmp_path, GOOD)) == ProviderOptions(
        default_storage_pool="fast",
        migr_image_map={"linux": "deb.qcow2", "windows": "win.qcow2"},
        migr_worker_memory=2048,
        enable_vm_vnc_console=True,
        vm_console_log_dir="/var/log/console",
        cpu_mode=CpuMode.LIBVIRT_DEFAULT,
        set_dhcp=False,
    )


def test_empty_section_is_all_defaults(tmp_path: Path) -> None:
    assert read_ini(write(tmp_path, "[libvirt_migration_provider]\n")) == ProviderOptions()


@pytest.mark.parametrize(
    ("body", "reason", "hint"),
    [
        ("migr_wroker_memory = 1\n", "unknown option “migr_wroker_memory”", "migr_worker_memory?"),
        ("Set_DHCP = true\n", "unknown option “Set_DHCP”", ""),
        ("set_dhcp = maybe\n", "option set_dhcp: .*boolean", ""),
        ("set_dhcp = 1\nset_dhcp = 0\n", "not an INI file.*set_dhcp", ""),
        ("set_dhcp\n", "not an INI file", ""),
        (
            "windows_virtio_iso_url = http://a.example/\n",
            "not built yet",
            "windows_virtio_iso_url|",
        ),
    ],
)
def test_bad_file(tmp_path: Path, body: str, reason: str, hint: str) -> None:
    path = write(tmp_path, "[libvirt_migration_provider]\n" + body)
    with pytest.raises(OptionError, match=f"(?s){reason}") as caught:
        read_ini(path)
    assert any(part in caught.value.hint for part in hint.split("|"))


def test_file_without_the_section(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"no section \[libvirt_migration_provider\]"):
        read_ini(write(tmp_path, "[something]\na = b\n"))


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"nowhere\.conf"):
        read_ini(tmp_path / "nowhere.conf")


def test_binary_file(tmp_path: Path) -> None:
    path = tmp_path / "binary"
    path.write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(OptionError, match="not an INI file"):
        read_ini(path)
