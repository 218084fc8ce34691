# SPDX-License-Identifier: Apache-2.0
"""Install cloud-init, and keep it from changing users, keys, host name and network."""

from typing import Final

from tradewind.errors import MorphingError, PackageError
from tradewind.model.guest import Family, GuestOS, MorphOptions, Outcome
from tradewind.morphing.linux import packages, systemd
from tradewind.morphing.linux.cloudinit import dropin, leftovers
from tradewind.ports import GuestTree

# The stages in all versions; 24.3 split cloud-init.service into -main and -network.
_UNITS: Final = (
    "cloud-init-main.service",
    "cloud-init-local.service",
    "cloud-init-network.service",
    "cloud-init.service",
    "cloud-config.service",
    "cloud-final.service",
)


def applies_to(os: GuestOS, options: MorphOptions) -> bool:
    """Return whether we know how the guest's packages are installed."""
    return os.family is not Family.UNKNOWN


def apply(guest: GuestTree, os: GuestOS, options: MorphOptions) -> Outcome:
    """Install the package, write a drop-in, and prove that the units start at boot."""
    try:
        origin = packages.install(guest, os, options, "cloud-init")
    except PackageError as error:
        return packages.not_done(error)
    gone = leftovers.remove(guest, retain=options.retain_user_credentials)
    on = leftovers.switch_on(guest)
    changed = [*gone, *on, *dropin.write(guest, options), *systemd.enable(guest, _UNITS)]
    _prove(guest)
    kept = "users and keys are kept" if options.retain_user_credentials else "with its defaults"
    words = [f"{origin}; {kept}"]
    if gone:
        words.append(f"removed {', '.join(gone)}")
    if on:
        words.append(f"no longer switched off in {', '.join(on)}")
    scripts = leftovers.scripts(guest)
    return Outcome(
        changed=origin is not packages.Origin.THERE or bool(changed),
        summary="; ".join(words),
        remedy=f"these run once more, with the next start: {', '.join(scripts)}" if scripts else "",
    )


def _prove(guest: GuestTree) -> None:
    states = systemd.states(guest, _UNITS)
    idle = [f"{unit} is {state}" for unit, state in states.items() if not systemd.starts(state)]
    if idle or not states:
        raise MorphingError(
            "cloud-init is installed, but does not start: " + (", ".join(idle) or "it has no unit"),
            "enable its units on the source (`systemctl preset 'cloud-*'`), and transfer again",
        )
