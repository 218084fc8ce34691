# SPDX-License-Identifier: Apache-2.0
"""The network in the initial RAM disk: words of the kernel's command line, and initramfs.conf.

Formats: dracut.cmdline(7), initramfs-tools(7), README.ipconfig of klibc; the kernel's nfsroot.rst.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from tradewind.model.mac import read_mac
from tradewind.morphing.linux.network import assignments
from tradewind.morphing.linux.network.kinds import InterfaceKind, by_name
from tradewind.morphing.linux.network.program import is_name

_FOLDER: Final = "/etc/initramfs-tools/"
PATTERNS: Final = ("/etc/initramfs-tools/initramfs.conf", "/etc/initramfs-tools/conf.d/*")

_WORD: Final = re.compile(r"(?<![^\s\"'=])ip=([^\s\"']+)")
_CONF: Final = re.compile(r"^([ \t]*IP=[\"']?)([^\s\"'#]+)", re.MULTILINE)
_FIELD: Final = re.compile(r"(\[[^]]*\]|[^:\[]*)(?::|$)")
_ADDRESS: Final = re.compile(r"\d+(\.\d+){3}")
_TIE: Final = re.compile(r"(?<!\S)ifname=([^\s:]+):([0-9A-Fa-f:]{17})(?!\S)")
# What is built upon others: "bond=bond0:eth0,eth1:…", "vlan=eth0.5:eth0", and so on.
_UPON: Final = re.compile(r"(?<!\S)(?:bond|team|bridge|vlan)=[^\s:]+:([^\s:]+)")
_BOOTDEV: Final = re.compile(r"(?<!\S)bootdev=([^\s:]+)")
_MAINFRAME: Final = re.compile(r"(?<!\S)rd\.znet=\S+")
# The place of the interface, and of what it does, in a line with all fields.
_HOST, _DEVICE, _METHOD = 4, 5, 6


def tied(command_lines: Sequence[str]) -> dict[str, str]:
    """Map MAC addresses to the names that ifname= gives them in the initial RAM disk."""
    found = {read_mac(mac): name for line in command_lines for name, mac in _TIE.findall(line)}
    return {mac: name for mac, name in found.items() if mac}


def names(command_lines: Sequence[str]) -> tuple[str, ...]:
    """Name the NICs that the command lines name."""
    found = {name for line in command_lines for name in _named(line)}
    return tuple(n for n in sorted(found) if is_name(n) and by_name(n) is InterfaceKind.NIC)


def with_dhcp(line: str) -> str:
    """Let a command line ask where it has a fixed IPv4 address: "ip=::::web:eth0:dhcp"."""
    return _WORD.sub(lambda match: f"ip={_asking(match[1])}", line)


def conf_with_dhcp(text: str) -> str:
    """Let a file of initramfs-tools ask where its IP= is a fixed IPv4 address."""
    return _CONF.sub(lambda match: match[1] + _asking(match[2]), text)


def static_words(line: str) -> tuple[str, ...]:
    """List the words of a command line that give a fixed address."""
    return tuple(f"ip={word}" for word in _WORD.findall(line) if _is_fixed(_fields(word)))


def is_believed_first(command_lines: Sequence[str]) -> bool:
    """Whether a command line has a network that cloud-init believes before its own settings.

    Its sources are, in this order, the command line (network-config=), the initial RAM disk (ip=,
    as klibc has carried it out), the settings (network:), the service.
    """
    return any(re.search(r"(?<!\S)(ip6?|network-config)=", line) for line in command_lines)


def told(command_lines: Sequence[str], texts: Mapping[str, str]) -> Iterator[str]:
    """Tell what is configured in the initial RAM disk and stays."""
    words = dict.fromkeys(word for line in command_lines for word in static_words(line))
    if words:
        yield f"the kernel's command line gives a fixed address: {', '.join(words)}"
    mainframe = dict.fromkeys(word for line in command_lines for word in _MAINFRAME.findall(line))
    if mainframe:
        yield f"the kernel's command line names NICs of a mainframe: {', '.join(mainframe)}"
    for path, text in texts.items():
        value = assignments.values(text).get("IP", "") if path.startswith(_FOLDER) else ""
        if _is_fixed(_fields(value)):
            yield f"{path} gives a fixed address in the initial RAM disk: IP={value}"


def _named(line: str) -> Iterator[str]:
    for word in _WORD.findall(line):
        fields = _fields(word)
        yield fields[_DEVICE] if len(fields) > _DEVICE else ""
        # "ip=eth0:dhcp" is dracut's.
        yield fields[0] if 1 < len(fields) <= _HOST and not _ADDRESS.fullmatch(fields[0]) else ""
    for members in _UPON.findall(line):
        yield from members.split(",")
    yield from _BOOTDEV.findall(line)


def _fields(word: str) -> list[str]:
    """Split at colons, those of an IPv6 address in brackets left out."""
    found = _FIELD.findall(word)
    # The pattern matches once more at the end, unless a field is empty there.
    return found if word.endswith(":") else found[:-1]


def _is_fixed(fields: Sequence[str]) -> bool:
    return bool(fields) and (fields[0].startswith("[") or bool(_ADDRESS.fullmatch(fields[0])))


def _asking(word: str) -> str:
    fields = _fields(word)
    if not fields or not _ADDRESS.fullmatch(fields[0]):
        return word
    host, device = (fields[n] if len(fields) > n else "" for n in (_HOST, _DEVICE))
    # Name servers that stand behind are those of the fixed address.
    return f"::::{host}:{device}:dhcp" if device else "dhcp"
