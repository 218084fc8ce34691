# SPDX-License-Identifier: Apache-2.0
"""The drop-in that tells cloud-init what this deployment wants. Format: YAML, merged by name.

Of two files that say something of the same key, the one whose name sorts later is believed, by
cloud-init and by ds-identify alike.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Final

from tradewind.model.guest import MorphOptions
from tradewind.morphing import backup, files
from tradewind.morphing.linux.boot import commandline
from tradewind.morphing.linux.network import early_network
from tradewind.ports import GuestTree

FOLDER: Final = "/etc/cloud/cloud.cfg.d"
FILE: Final = f"{FOLDER}/zz-99-tradewind.cfg"
# While it is there, cloud-init (0.7.7 and later) takes its network from nowhere, also not from the
# command line, which it believes before "network:" (Init._find_networking_config in stages.py).
NO_NETWORK: Final = "/var/lib/cloud/data/upgraded-network"
KEY_TYPES: Final = ("rsa", "ecdsa", "ed25519")

# One source, or one and None: ds-identify then looks for nothing, and switches nothing off.
_SOURCES: Final = "NoCloud, None"
_SOURCES_WITH_DRIVE: Final = "ConfigDrive, None"

_ALWAYS: Final = """\
# Written by Tradewind. The machine was moved, it is not a new instance: no service is asked for
# metadata, and the network is configured by the system itself.
datasource_list: [{sources}]
manual_cache_clean: false
network: {{config: disabled}}
manage_etc_hosts: false
apt: {{preserve_sources_list: true}}
growpart: {{mode: "off"}}
resize_rootfs: false
"""
_RETAIN: Final = """\
# Users, their keys and passwords, the host's name and keys stay as they were. What an installer
# gave to its first start (userdata_raw) has been done.
preserve_hostname: true
users: []
disable_root: false
ssh_pwauth: unchanged
ssh_deletekeys: false
locale: "off"
datasource: {NoCloud: {seedfrom: ""}, None: {userdata_raw: ""}}
"""
# What an image or an installer may have left to be done once for each instance: for cloud-init
# the moved machine is one that it has not seen yet.
_ONCE: Final[Mapping[str, str]] = {
    "runcmd": "[]",
    "write_files": "[]",
    "packages": "[]",
    "package_upgrade": "false",
    "package_reboot_if_required": "false",
    "ssh_authorized_keys": "[]",
    "ssh_import_id": "[]",
    "chpasswd": "{}",
    "password": '""',
    "disk_setup": "{}",
    "fs_setup": "[]",
    "mounts": "[]",
}
_KEY: Final = re.compile(r"^([a-z_]+)[ \t]*:", re.MULTILINE)
# What only we may say.
_OURS: Final = frozenset({"datasource_list", "datasource", "network", "manual_cache_clean"})


def write(guest: GuestTree, options: MorphOptions) -> tuple[str, ...]:
    """Write the drop-in, and set aside what would be believed instead; say what changed."""
    texts = files.read(guest, "/etc/cloud/cloud.cfg", f"{FOLDER}/*.cfg", NO_NETWORK)
    others = later(texts)
    for path in others:
        backup.set_aside(guest, path)
    have = {path: its for path, its in texts.items() if path not in others}
    wanted = {FILE: text(options, _host_keys(guest), have)}
    if early_network.is_believed_first(_command_lines(guest)):
        wanted[NO_NETWORK] = ""
    return (*others, *files.write_changed(guest, texts, wanted))


def _command_lines(guest: GuestTree) -> list[str]:
    texts = files.read(guest, *commandline.EFFECTIVE)
    return [line for path, its in texts.items() for line in commandline.lines(path, its)]


def _host_keys(guest: GuestTree) -> Sequence[str]:
    names = {kind: f"/etc/ssh/ssh_host_{kind}_key" for kind in KEY_TYPES}
    there = files.present(guest, *names.values())
    return [kind for kind, path in names.items() if path in there]


def text(options: MorphOptions, host_keys: Sequence[str], texts: Mapping[str, str]) -> str:
    """Write the drop-in; `texts` are the guest's own configuration files, by path.

    `host_keys` are the types of key that the guest has: others would be generated.
    """
    sources = _SOURCES_WITH_DRIVE if options.use_config_drive else _SOURCES
    parts = [_ALWAYS.format(sources=sources)]
    if options.retain_user_credentials:
        parts.append(_RETAIN)
        if host_keys:
            parts.append(f"ssh_genkeytypes: [{', '.join(host_keys)}]\n")
        parts += [f"{key}: {_ONCE[key]}\n" for key in once(texts)]
    return "".join(parts)


def once(texts: Mapping[str, str]) -> tuple[str, ...]:
    """Name what the guest's own files would do once more."""
    named = {key for path, text in texts.items() if path != FILE for key in keys(text)}
    return tuple(key for key in _ONCE if key in named)


def later(texts: Mapping[str, str]) -> tuple[str, ...]:
    """Name the files that would be believed instead of ours, in what only we may say."""
    return tuple(path for path, text in texts.items() if path > FILE and keys(text) & _OURS)


def keys(text: str) -> frozenset[str]:
    """Name the top-level keys of a file that is written as a block, as all of cloud-init's are."""
    return frozenset(_KEY.findall(text))
