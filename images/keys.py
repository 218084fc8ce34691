# SPDX-License-Identifier: Apache-2.0
"""SSH keys of the guests: one that logs in to all of them, and their stable host key."""

from pathlib import Path

from images import cache
from tradewind.worker.keys import new_key_pair


def guest_key() -> Path:
    """Name the private key that logs in to guests as root; made when it is not there yet."""
    return _kept("guest-key")


def guest_host_key() -> Path:
    """Name the host key that every guest shows; made when it is not there yet."""
    return _kept("guest-host-key")


def public_line(private_key: Path) -> str:
    """Give the public half, as in authorized_keys: type and base64."""
    return private_key.with_suffix(".pub").read_text().strip()


def _kept(name: str) -> Path:
    path = cache.home() / name
    with cache.locked(name):
        if not path.exists():
            pair = new_key_pair()
            path.with_suffix(".pub").write_text(f"{pair.public}\n")
            write_private(path, pair.private)
    return path


def write_private(path: Path, text: str) -> None:
    """Write a file that nobody else may read; it never exists with its content and open."""
    path.touch(mode=0o600)
    path.write_text(text)
