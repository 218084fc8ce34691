# SPDX-License-Identifier: Apache-2.0
"""Let network interfaces ask for their addresses (DHCP) instead of having fixed ones."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from tradewind.errors import MorphingError
from tradewind.model.guest import Family, GuestOS, MorphOptions, Outcome
from tradewind.morphing import apt, backup, files, systemd
from tradewind.morphing.network import ifupdown, names, netplan, networkd, networkmanager
from tradewind.ports import GuestTree

_IFUP: Final = "/sbin/ifup"
_NETWORKMANAGER: Final = "/usr/sbin/NetworkManager"
# What ifupdown calls for "inet dhcp", in its order of preference.
_CLIENTS: Final = ("/sbin/dhclient", "/sbin/udhcpc", "/sbin/dhcpcd", "/usr/sbin/dhcpcd")
_CLIENT_PACKAGE: Final = "isc-dhcp-client"


@dataclass(frozen=True, slots=True)
class _Network:
    """What of the guest concerns its network: files, programs, and the NICs it will have."""

    texts: Mapping[str, str]
    programs: tuple[str, ...]
    networkd: bool
    macs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Done:
    """What one program's configuration needed: files changed, and what remains to be looked at."""

    program: str
    changed: tuple[str, ...]
    remedy: str = ""


def applies_to(os: GuestOS, options: MorphOptions) -> bool:
    """Say whether the operator wants DHCP, and the machine has NICs."""
    return options.set_dhcp and os.family is Family.DEBIAN and bool(os.macs)


def apply(guest: GuestTree, os: GuestOS, options: MorphOptions) -> Outcome:
    """Change the configuration of each program that is in use, and read it again."""
    network = _Network(
        texts=names.read(guest),
        programs=files.present(guest, _IFUP, _NETWORKMANAGER, *_CLIENTS),
        networkd=systemd.states(guest, [networkd.UNIT]).get(networkd.UNIT) == "enabled",
        macs=tuple(mac.lower() for mac in os.macs),
    )
    done = tuple(_each(guest, network))
    if not done:
        raise MorphingError(
            "nothing in the guest configures its network: no ifupdown, systemd-networkd, Netplan "
            "or NetworkManager",
            "deploy with set_dhcp = false, or install ifupdown on the source",
        )
    changed = [path for each in done for path in each.changed]
    programs = ", ".join(each.program for each in done)
    summary = f"{programs}: changed {', '.join(changed)}" if changed else f"{programs}: is so"
    remedy = "; ".join(each.remedy for each in done if each.remedy)
    return Outcome(changed=bool(changed), summary=summary, remedy=remedy)


def _each(guest: GuestTree, network: _Network) -> Iterator[_Done]:
    if netplan.files(network.texts):
        yield _netplan(guest, network)
        return  # Netplan writes the configuration of the others
    if _NETWORKMANAGER in network.programs or networkmanager.profiles(network.texts):
        yield _networkmanager(guest, network)
    if network.networkd:
        yield _networkd(guest, network)
        if not ifupdown.physical_names(network.texts):
            return
    if _IFUP in network.programs:
        yield _ifupdown(guest, network)


def _netplan(guest: GuestTree, network: _Network) -> _Done:
    stacked = netplan.stacked(network.texts)
    if stacked:
        return _Done("Netplan", (), f"{', '.join(stacked)} are built on NICs: set them to DHCP")
    wanted = netplan.asking(network.texts, network.macs)
    changed = files.write_changed(guest, network.texts, wanted, 0o600)
    old = tuple(path for path in netplan.files(network.texts) if path not in wanted)
    for path in old:
        backup.set_aside(guest, path)
    return _Done("Netplan", changed + old)


def _networkmanager(guest: GuestTree, network: _Network) -> _Done:
    if not networkmanager.fixed_addresses(network.texts):
        return _Done("NetworkManager", ())
    wanted = networkmanager.asking(network.macs)
    changed = files.write_changed(guest, network.texts, wanted, networkmanager.MODE)
    return _Done("NetworkManager", changed)


def _networkd(guest: GuestTree, network: _Network) -> _Done:
    stacked = networkd.stacked(network.texts)
    if stacked:
        return _Done("systemd-networkd", (), f"{', '.join(stacked)}: set to DHCP yourself")
    changed = files.write_changed(guest, network.texts, networkd.asking(network.macs))
    return _Done("systemd-networkd", changed)


def _ifupdown(guest: GuestTree, network: _Network) -> _Done:
    if ifupdown.physical_names(network.texts):
        changed, hooks = _rewrite(guest, network.texts)
    else:
        changed, hooks = _first_configuration(guest, network), ()
    if not set(_CLIENTS) & set(network.programs) and apt.install(guest, _CLIENT_PACKAGE):
        changed += (f"({_CLIENT_PACKAGE} installed)",)
    _prove(guest)
    remedy = f"commands that may rely on the old addresses: {'; '.join(hooks)}" if hooks else ""
    return _Done("ifupdown", changed, remedy)


def _rewrite(guest: GuestTree, texts: Mapping[str, str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Rewrite the files; return which, and the hooks in them that may need a look."""
    new = {path: ifupdown.automatic(texts[path]) for path in ifupdown.files(texts)}
    changed = tuple(path for path, text in new.items() if text != texts[path])
    for path in changed:
        backup.rewrite(guest, path, new[path])
    return changed, tuple(hook for path in changed for hook in ifupdown.hooks(texts[path]))


def _first_configuration(guest: GuestTree, network: _Network) -> tuple[str, ...]:
    """Configure NICs of a guest that configures none; the names are ours to give."""
    nics = [names.NamedNic(mac, f"lan{n}", known=False) for n, mac in enumerate(network.macs)]
    linked = files.write_changed(guest, network.texts, names.links(nics))
    old = network.texts.get(ifupdown.MAIN, "")
    text = old or "auto lo\niface lo inet loopback\n"
    text += ifupdown.asking([nic.name for nic in nics])
    if old:
        backup.keep(guest, ifupdown.MAIN)
    guest.write_text(ifupdown.MAIN, text)
    return (*linked, ifupdown.MAIN)


def _prove(guest: GuestTree) -> None:
    """Ask ifupdown itself whether it can read what we wrote, and look for fixed addresses."""
    texts = names.read(guest)
    guest.run(["ifquery", *ifupdown.physical_names(texts)])
    for path in ifupdown.files(texts):
        if ifupdown.automatic(texts[path]) != texts[path]:
            raise MorphingError(f"{path} still has fixed addresses")
