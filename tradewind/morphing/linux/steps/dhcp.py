# SPDX-License-Identifier: Apache-2.0
"""Let network interfaces ask for their addresses (DHCP) instead of having fixed ones."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from tradewind.errors import MorphingError, PackageError
from tradewind.model.guest import GuestOS, MorphOptions, Outcome
from tradewind.morphing import backup, files
from tradewind.morphing.linux import packages
from tradewind.morphing.linux.boot import commandline
from tradewind.morphing.linux.network import (
    early_network,
    ifcfg,
    ifupdown,
    name_pins,
    names,
    readback,
    wicked,
)
from tradewind.morphing.linux.network.program import GuestNic, NetworkProgram, Rewritten, configures
from tradewind.morphing.linux.network.survey import GuestNetwork, survey
from tradewind.ports import GuestTree

# What ifupdown calls for "inet dhcp", in its order of preference.
_CLIENTS: Final = (
    "/sbin/dhclient", "/usr/sbin/dhclient", "/sbin/udhcpc", "/sbin/dhcpcd", "/usr/sbin/dhcpcd",
)  # fmt: skip
_CLIENT_PACKAGE: Final = "isc-dhcp-client"
_NETWORKMANAGER: Final = "/usr/sbin/NetworkManager"


@dataclass(slots=True)
class _Done:
    """Files that were changed, and what a person should look at."""

    changed: list[str] = field(default_factory=list)
    look: list[str] = field(default_factory=list)
    complete: bool = True


def applies_to(os: GuestOS, options: MorphOptions) -> bool:
    """Return whether the operator wants DHCP, and the machine has NICs."""
    return options.set_dhcp and bool(os.macs)


def apply(guest: GuestTree, os: GuestOS, options: MorphOptions) -> Outcome:
    """Change the configuration of each program that is in use, and read it again.

    Whatever had a fixed address asks for one: a NIC, and also a bond, bridge or VLAN. What a bond
    or bridge is made of stays as it is, and so does what only carries VLANs. Every other NIC asks
    too, also one that nothing configured. Gateways, routes and name servers that were written down
    with the addresses go; names and the structure stay.
    """
    network = survey(guest, os, *_CLIENTS)
    if not network.available:
        raise MorphingError(
            "nothing in the guest configures its network: no Netplan, NetworkManager, "
            "systemd-networkd, wicked, ifcfg files or ifupdown",
            "deploy with set_dhcp = false, or install one of these on the source",
        )
    done = _Done()
    for program in network.available:
        _replace(guest, program.to_dhcp(network.texts), done)
    if done.changed:
        network = survey(guest, os, *_CLIENTS)
    _configure_the_rest(guest, network, done)
    done.changed += _ask_early(guest)
    if _lacks_client(network):
        _install_client(guest, os, options, done)
    network = survey(guest, os, *_CLIENTS)
    readback.prove_asking(guest, network, _nics(network))
    return _outcome(network, done)


def _outcome(network: GuestNetwork, done: _Done) -> Outcome:
    programs = ", ".join(program.NAME for program in network.in_use)
    changed = ", ".join(dict.fromkeys(done.changed))
    summary = f"changed {changed}" if changed else "is so"
    told = early_network.told(network.command_lines, network.texts)
    return Outcome(
        changed=bool(done.changed),
        summary=f"{programs}: {summary}",
        remedy="; ".join((*done.look, *_left_alone(network), *told)),
        done=done.complete,
    )


def _left_alone(network: GuestNetwork) -> Iterator[str]:
    """Tell of interfaces that have no question to ask, or must not."""
    kept = {i.name or i.pattern or i.mac for i in network.interfaces if i.keeps_addresses} - {"lo"}
    if kept:
        yield f"{', '.join(sorted(kept))}: addresses stay, since DHCP is not for such interfaces"
    off = {f"{i.name or i.pattern or i.mac} ({i.off})" for i in network.interfaces if i.off}
    if off:
        yield f"kept off, as they were: {', '.join(sorted(off))}"


def _replace(guest: GuestTree, rewritten: Rewritten, done: _Done) -> None:
    """Write the new texts and take away what goes; the guest's own are kept."""
    for path, text in rewritten.texts.items():
        backup.rewrite(guest, path, text)
    for path in rewritten.gone:
        backup.set_aside(guest, path)
    done.changed += [*rewritten.texts, *rewritten.gone]
    done.look += rewritten.look


def _ask_early(guest: GuestTree) -> list[str]:
    """Let the initial RAM disk ask, where the kernel's command line has a fixed address.

    Debian's has a file for it, too: the image that carries that is renewed in the end.
    """
    changed = []
    lines = files.read(guest, *commandline.EFFECTIVE, *commandline.LASTING)
    new_texts = {
        p: commandline.changed_everywhere(p, t, early_network.with_dhcp) for p, t in lines.items()
    }
    confs = files.read(guest, *early_network.PATTERNS)
    new_texts |= {path: early_network.conf_with_dhcp(text) for path, text in confs.items()}
    for path, new in new_texts.items():
        if new != (lines | confs)[path]:
            backup.rewrite(guest, path, new)
            changed.append(path)
    return changed


def _nics(network: GuestNetwork) -> tuple[GuestNic, ...]:
    return names.naming(network, guess=True).all(network.macs)


def _configure_the_rest(guest: GuestTree, network: GuestNetwork, done: _Done) -> None:
    """Configure NICs that nothing configures, by the program that configures the others."""
    left = tuple(
        nic
        for nic in _nics(network)
        if not any(configures(i, nic, network.unnamed) for i in network.interfaces)
    )
    if left:
        _refuse_to_take_ports(network)
    program = (network.in_use or network.available)[0]
    if _by_name(program, network):
        left = _named(left, network)
        tied = name_pins.written(network.texts, network.present, left)
        done.changed += files.write_changed(guest, network.texts, tied)
    dhcp_config = program.dhcp_config(network.texts, left) if left else {}
    for path, text in dhcp_config.items():
        if path in network.texts:
            backup.rewrite(guest, path, text)
        else:
            guest.write_text(path, text, program.MODE)
    done.changed += dhcp_config


def _refuse_to_take_ports(network: GuestNetwork) -> None:
    """Refuse where a bridge, bond or VLAN would lose a NIC that it found by the old hardware."""
    unfit = names.unfit(network, names.naming(network, guess=True))
    lost = [
        i.unmet_match or f"the name {i.pattern}"
        for i in network.interfaces
        if i.hardware and i.is_port_or_parent and (i.unmet_match or i.pattern in unfit)
    ]
    if lost:
        raise MorphingError(
            f"a bridge, bond or VLAN of the guest finds its NIC by {lost[0]}, which no new NIC has",
            "match the MAC address instead on the source, and transfer again",
        )


def _by_name(program: NetworkProgram, network: GuestNetwork) -> bool:
    """Whether it finds an interface by its name, and by nothing else."""
    return program in {ifupdown, wicked} or (program is ifcfg and not network.has(_NETWORKMANAGER))


def _named(nics: Sequence[GuestNic], network: GuestNetwork) -> tuple[GuestNic, ...]:
    taken = {*names.configured(network.interfaces), *network.pinned.values()}
    pinned = names.made_up([nic.mac for nic in nics if not nic.name], taken)
    return (*(nic for nic in nics if nic.name), *pinned)


def _lacks_client(network: GuestNetwork) -> bool:
    """Whether ifupdown or the older initscripts have no DHCP client to call."""
    calling = any(
        p is ifupdown or (p is ifcfg and not network.has(_NETWORKMANAGER))
        for p in network.in_use or network.available[:1]
    )
    return calling and not network.has(*_CLIENTS)


def _install_client(guest: GuestTree, os: GuestOS, options: MorphOptions, done: _Done) -> None:
    try:
        origin = packages.install(guest, os, options, _CLIENT_PACKAGE)
    except PackageError as error:
        done.look.append(f"{error.message}; without a DHCP client no address comes: {error.hint}")
        done.complete = False
        return
    done.changed.append(f"({_CLIENT_PACKAGE} {origin})")
