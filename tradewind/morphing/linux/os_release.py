# SPDX-License-Identifier: Apache-2.0
"""The distribution, in the words of its os-release(5)."""

import re
import shlex
from collections.abc import Mapping
from typing import Final

from tradewind.model.guest import Family
from tradewind.plain_text import printable

_FAMILIES: Final = {
    Family.DEBIAN: {"debian", "ubuntu", "linuxmint", "kali", "raspbian", "devuan"},
    Family.RED_HAT: {
        "rhel", "fedora", "centos", "rocky", "almalinux", "ol", "amzn", "openeuler", "scientific",
        "virtuozzo", "cloudlinux", "eurolinux", "miraclelinux",
    },
    Family.SUSE: {
        "suse", "opensuse", "sles", "sled", "sles_sap", "opensuse-leap", "opensuse-tumbleweed",
        "opensuse-slowroll", "opensuse-microos", "sle-micro", "sl-micro",
    },
}  # fmt: skip


def parse(text: str) -> Mapping[str, str]:
    """Read an os-release file. Format: os-release(5), shell-like assignments."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        name, equals, value = line.strip().partition("=")
        if equals and re.fullmatch(r"[A-Z][A-Z0-9_]*", name):
            try:
                found[name] = printable(" ".join(shlex.split(value)))
            except ValueError:
                found[name] = printable(value)
    return found


def pretty_name(os_release: Mapping[str, str]) -> str:
    """Name a system for a person."""
    return os_release.get("PRETTY_NAME") or os_release.get("ID") or "an unnamed system"


def family(os_release: Mapping[str, str]) -> Family:
    """Return how a distribution is adapted: by its own name, else by those it says it is like.

    These have small letters, says os-release(5); openEuler's has not.
    """
    said = f"{os_release.get('ID', '')} {os_release.get('ID_LIKE', '')}"
    for word in said.lower().split():
        for known, ids in _FAMILIES.items():
            if word in ids:
                return known
    return Family.UNKNOWN
