# SPDX-License-Identifier: Apache-2.0
"""Start a kernel that can use VirtIO disks, where the one that starts by itself cannot."""

import re
from collections.abc import Sequence
from typing import Final

from tradewind.errors import MorphingError
from tradewind.model.guest import GuestOS, MorphOptions, Outcome
from tradewind.morphing import backup, files
from tradewind.morphing.linux.boot import commandline, kernels, menus
from tradewind.morphing.linux.boot.kernels import KernelVersion
from tradewind.morphing.linux.boot.menus import Menu, MenuEntry
from tradewind.ports import GuestTree

# What the next update of the menu takes its default from.
_GRUB_DEFAULTS: Final = "/etc/default/grub"
_GRUB_DEFAULT: Final = re.compile(r"^([ \t]*GRUB_DEFAULT=)([^\n]*)()", re.MULTILINE)


def applies_to(os: GuestOS, options: MorphOptions) -> bool:
    """Every Linux system has a kernel."""
    return True


def apply(guest: GuestTree, os: GuestOS, options: MorphOptions) -> Outcome:
    """Look which kernel each boot loader starts, choose another if need be, and look again."""
    found = kernels.survey(guest, images=False)
    best = kernels.best(found)
    if best is None:
        raise MorphingError(
            f"no kernel of {os.pretty_name} can use VirtIO disks "
            f"({', '.join(k.version for k in found) or 'none'} found in /boot)",
            "install the distribution's standard kernel on the source, and transfer again",
        )
    read = _menus(guest, found)
    unfit = [m for m in read if (kernel := _kernel(m.default, found)) and kernel.unfit]
    for menu in unfit:
        _choose(guest, menu, best, found)
    if unfit:
        _prove(guest, found)
        return Outcome(
            changed=True, summary=f"{best.version} starts instead of {_names(unfit, found)}"
        )
    return _unchanged(read, found)


def _menus(guest: GuestTree, found: Sequence[KernelVersion]) -> tuple[Menu, ...]:
    unified = [path for kernel in found for path in kernel.paths if path.endswith(".efi")]
    return menus.read(files.read(guest, *menus.FILES), unified)


def _unchanged(read: Sequence[Menu], found: Sequence[KernelVersion]) -> Outcome:
    starting = [kernel.version for m in read if (kernel := _kernel(m.default, found))]
    if starting:
        return Outcome(changed=False, summary=f"{', '.join(dict.fromkeys(starting))} starts")
    return Outcome(
        changed=False,
        done=False,
        summary="no menu of a boot loader says which kernel starts",
        remedy="see that the machine starts a kernel with VirtIO drivers: "
        + ", ".join(kernel.version for kernel in found if not kernel.unfit),
    )


def _kernel(entry: MenuEntry | None, found: Sequence[KernelVersion]) -> KernelVersion | None:
    """Find what an entry starts: its path is seen from the loader's own file system."""
    name = entry.kernel.rpartition("/")[2] if entry else ""
    for kernel in found:
        for path in kernel.paths:
            same = path.endswith(entry.kernel) if entry else False
            if name and (same or (path.rpartition("/")[2] == name and kernel.version in name)):
                return kernel
    return None


def _names(unfit: Sequence[Menu], found: Sequence[KernelVersion]) -> str:
    starting = [kernel.version for menu in unfit if (kernel := _kernel(menu.default, found))]
    return ", ".join(dict.fromkeys(starting))


def _choose(
    guest: GuestTree, menu: Menu, best: KernelVersion, found: Sequence[KernelVersion]
) -> None:
    entry = next((e for e in menu.entries if _kernel(e, found) is best), None)
    if entry is None:
        raise MorphingError(
            f"the menu in {menu.path} starts a kernel without VirtIO drivers, and has no entry "
            f"for {best.version}",
            "update the boot loader's menu on the source, and transfer again",
        )
    text = guest.read_text(menu.path)
    backup.rewrite(guest, menu.path, _with(text, menu, entry.name))
    defaults = files.read(guest, _GRUB_DEFAULTS).get(_GRUB_DEFAULTS, "")
    said = _GRUB_DEFAULT.search(defaults)
    if menu.pattern is menus.SET_DEFAULT and said:
        new = _GRUB_DEFAULT.sub(lambda match: f'{match[1]}"{entry.name}"', defaults)
        backup.rewrite(guest, _GRUB_DEFAULTS, new)


def _with(text: str, menu: Menu, name: str) -> str:
    """Write the default in place of the old one, or at the top."""
    new = menu.pattern.sub(lambda match: match[1] + name + match[3], text)
    if not menu.pattern.search(text):
        head, line = ("", menu.line.format(name))
        if menu.path.endswith("/grubenv"):
            head, _, text = text.partition("\n")
            head += "\n"
        new = head + line + text
    return commandline.filled(new) if menu.path.endswith("/grubenv") else new


def _prove(guest: GuestTree, found: Sequence[KernelVersion]) -> None:
    for menu in _menus(guest, found):
        kernel = _kernel(menu.default, found)
        if kernel and kernel.unfit:
            raise MorphingError(
                f"{menu.path} still starts {kernel.version}, which has no VirtIO drivers",
                "choose another default kernel on the source, and transfer again",
            )
