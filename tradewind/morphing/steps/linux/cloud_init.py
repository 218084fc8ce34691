# SPDX-License-Identifier: Apache-2.0
"""Install cloud-init, and keep it from changing users, keys, host name and network."""

from collections.abc import Sequence
from typing import Final

from tradewind.errors import MorphingError
from tradewind.model.guest import Family, GuestOS, MorphOptions, Outcome
from tradewind.morphing import apt, files, systemd
from tradewind.ports import GuestTree

DROP_IN: Final = "/etc/cloud/cloud.cfg.d/99-tradewind.cfg"
# Files that switch cloud-init off (cloud-init's ds-identify and systemd generator).
_SWITCHES: Final = ("/etc/cloud/cloud-init.disabled",)

# The stages in all versions; 24.3 split cloud-init.service into -main and -network.
_UNITS: Final = (
    "cloud-init-main.service",
    "cloud-init-local.service",
    "cloud-init-network.service",
    "cloud-init.service",
    "cloud-config.service",
    "cloud-final.service",
)

_ALWAYS: Final = """\
# Written by Tradewind. The machine was moved, it is not a new instance: no service is asked for
# metadata, and the network is configured by the system itself.
datasource_list: [NoCloud, None]
network: {config: disabled}
manage_etc_hosts: false
apt: {preserve_sources_list: true}
growpart: {mode: "off"}
resize_rootfs: false
"""
_RETAIN: Final = """\
# Users, their keys and passwords, the host's name and keys stay as they were (ssh_pwauth, which is
# not set, means "unchanged").
preserve_hostname: true
users: []
disable_root: false
ssh_deletekeys: false
locale: "off"
"""
_KEY_TYPES: Final = ("rsa", "ecdsa", "ed25519")


def applies_to(os: GuestOS, options: MorphOptions) -> bool:
    """Say whether the guest's packages can be installed with apt."""
    return os.family is Family.DEBIAN


def apply(guest: GuestTree, os: GuestOS, options: MorphOptions) -> Outcome:
    """Install the package, write a drop-in, and prove that the units start at boot."""
    fresh = apt.install(guest, "cloud-init")
    configured = _configure(guest, options)
    _prove(guest)
    kept = "users and keys are kept" if options.retain_user_credentials else "with its defaults"
    if fresh:
        return Outcome(changed=True, summary=f"installed; {kept}")
    if configured:
        return Outcome(changed=True, summary=f"was installed; configured: {kept}")
    return Outcome(changed=False, summary=f"was installed and configured; {kept}")


def _configure(guest: GuestTree, options: MorphOptions) -> bool:
    keys = [f"/etc/ssh/ssh_host_{kind}_key" for kind in _KEY_TYPES]
    there = files.present(guest, *_SWITCHES, *keys)
    text = _ALWAYS + (_retain(there) if options.retain_user_credentials else "")
    switches = [path for path in there if path in _SWITCHES]
    for switch in switches:
        guest.remove(switch)
    written = files.write_changed(guest, files.read(guest, DROP_IN), {DROP_IN: text})
    return bool(switches or written)


def _retain(there: Sequence[str]) -> str:
    """Also keep the set of host keys: missing types would be generated."""
    types = [kind for kind in _KEY_TYPES if f"/etc/ssh/ssh_host_{kind}_key" in there]
    return _RETAIN + (f"ssh_genkeytypes: [{', '.join(types)}]\n" if types else "")


def _prove(guest: GuestTree) -> None:
    states = systemd.states(guest, _UNITS)
    idle = [f"{unit} is {state}" for unit, state in states.items() if not systemd.starts(state)]
    if idle or not states:
        raise MorphingError(
            "cloud-init is installed, but does not start: " + (", ".join(idle) or "it has no unit"),
            "enable its units on the source (`systemctl preset 'cloud-*'`), and transfer again",
        )
