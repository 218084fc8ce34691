# SPDX-License-Identifier: Apache-2.0
"""Archives in the format of initial RAM disks ("newc")."""

from collections.abc import Mapping


def archive(files: Mapping[str, str]) -> bytes:
    """Write one archive with these files."""
    members = [*files.items(), ("TRAILER!!!", "")]
    written = b"".join(_member(number, *member) for number, member in enumerate(members, 1))
    return written + b"\0" * (-len(written) % 512)


def _member(number: int, name: str, text: str) -> bytes:
    encoded = name.encode() + b"\0"
    numbers = (number, 0o100644, 0, 0, 1, 0, len(text), 0, 0, 0, 0, len(encoded), 0)
    header = b"070701" + b"".join(b"%08X" % field for field in numbers) + encoded
    return _padded(header) + _padded(text.encode())


def _padded(content: bytes) -> bytes:
    return content + b"\0" * (-len(content) % 4)


def image(names: tuple[str, ...], version: str, *, parameters: str = "") -> bytes:
    """Write an image with these drivers and programs, as a builder would."""
    modules = f"usr/lib/modules/{version}/kernel/drivers"
    files = {
        f"{modules}/{name}.ko.xz" if "/" not in name else name: f"/lib/modules/{name}.ko\n"
        for name in names
    }
    kept = {"etc/cmdline.d/90lvm.conf": f" {parameters}\n"} if parameters else {}
    return archive({"init": "", **files, **kept})
