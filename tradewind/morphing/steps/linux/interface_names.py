# SPDX-License-Identifier: Apache-2.0
"""Let network interfaces keep their names in the new machine."""

from tradewind.model.guest import GuestOS, MorphOptions, Outcome
from tradewind.morphing import files
from tradewind.morphing.network import names
from tradewind.ports import GuestTree


def applies_to(os: GuestOS, options: MorphOptions) -> bool:
    """Say whether the machine's NICs are known."""
    return bool(os.macs)


def apply(guest: GuestTree, os: GuestOS, options: MorphOptions) -> Outcome:
    """Tie each name that the configuration uses to the MAC address of its NIC."""
    texts = names.read(guest)
    nics = names.named_nics(texts, os.macs)
    if not nics:
        return _nothing_to_tie(names.configured_names(texts), os)
    changed = files.write_changed(guest, texts, names.links(nics))
    summary = ", ".join(f"{nic.name} is {nic.mac}" for nic in nics)
    guessed = [nic.name for nic in nics if not nic.known] if len(os.macs) > 1 else []
    remedy = (
        f"{', '.join(guessed)}: given out by the order of the NICs; see that each is on its network"
        if guessed
        else ""
    )
    return Outcome(changed=bool(changed), summary=summary, remedy=remedy)


def _nothing_to_tie(configured: tuple[str, ...], os: GuestOS) -> Outcome:
    if not configured:
        return Outcome(changed=False, summary="no interface is configured by its name")
    return Outcome(
        changed=False,
        summary="names are left as they come",
        remedy=f"{', '.join(configured)} are configured, but the machine has {len(os.macs)} NICs",
    )
