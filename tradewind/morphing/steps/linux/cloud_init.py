# SPDX-License-Identifier: Apache-2.0
"""Install cloud-init, and keep it from changing users, keys, host name and network."""

from collections.abc import Sequence
from typing import Final

from tradewind.errors import MorphingError, PackageError
from tradewind.model.guest import Family, GuestOS, MorphOptions, Outcome
from tradewind.morphing import backup, files, packages, systemd
from tradewind.morphing.cloudinit import dropin, leftovers
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
    """Say whether we know how the guest's packages are installed."""
    return os.family is not Family.UNKNOWN


def apply(guest: GuestTree, os: GuestOS, options: MorphOptions) -> Outcome:
    """Install the package, write a drop-in, and prove that the units start at boot."""
    try:
        origin = packages.install(guest, os, options, "cloud-init")
    except PackageError as error:
        return packages.not_done(error)
    gone = leftovers.remove(guest, retain=options.retain_user_credentials)
    on = leftovers.switch_on(guest)
    changed = [*gone, *on, *_configure(guest, options), *systemd.enable(guest, _UNITS)]
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


def _configure(guest: GuestTree, options: MorphOptions) -> tuple[str, ...]:
    """Write the drop-in, and set aside what would be believed instead; say what changed."""
    texts = files.read(guest, "/etc/cloud/cloud.cfg", f"{dropin.FOLDER}/*.cfg")
    later = dropin.later(texts)
    for path in later:
        backup.set_aside(guest, path)
    have = {path: text for path, text in texts.items() if path not in later}
    wanted = dropin.text(options, _host_keys(guest), have)
    return (*later, *files.write_changed(guest, texts, {dropin.FILE: wanted}))


def _host_keys(guest: GuestTree) -> Sequence[str]:
    names = {kind: f"/etc/ssh/ssh_host_{kind}_key" for kind in dropin.KEY_TYPES}
    there = files.present(guest, *names.values())
    return [kind for kind, path in names.items() if path in there]


def _prove(guest: GuestTree) -> None:
    states = systemd.states(guest, _UNITS)
    idle = [f"{unit} is {state}" for unit, state in states.items() if not systemd.starts(state)]
    if idle or not states:
        raise MorphingError(
            "cloud-init is installed, but does not start: " + (", ".join(idle) or "it has no unit"),
            "enable its units on the source (`systemctl preset 'cloud-*'`), and transfer again",
        )
