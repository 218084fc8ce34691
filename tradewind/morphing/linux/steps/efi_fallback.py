# SPDX-License-Identifier: Apache-2.0
"""Put the boot loader where a firmware looks that has never seen this machine."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from tradewind.errors import MorphingError
from tradewind.model.guest import GuestOS, MorphOptions, Outcome
from tradewind.model.machine import FirmwareKind
from tradewind.ports import GuestTree
from tradewind.shell_programs import program

# What the UEFI specification (section 3.5.1.1) calls the removable media path.
_FALLBACK: Final = {"x64": "BOOTX64.EFI", "aa64": "BOOTAA64.EFI", "ia32": "BOOTIA32.EFI"}
# Loaders to start with, best first: shim checks GRUB's signature under Secure Boot. SUSE's and
# old Red Hat's have no architecture in their names.
_LOADERS: Final = ("shim{}.efi", "shim.efi", "systemd-boot{}.efi", "grub{}.efi", "grub.efi")
# Copied along: shim starts GRUB, its key enrolment, or what restores boot entries from its own
# folder; SUSE's GRUB reads its configuration from there. (Others have the vendor's folder built
# in.) The GRUB of Red Hat 6 reads one that is named like itself.
_COMPANIONS: Final = ("grub{}.efi", "grub.efi", "mm{}.efi", "MokManager.efi", "grub.cfg")
_STARTED_BY_SHIM: Final = ("grub{}.efi", "grub.efi", "fb{}.efi", "fallback.efi")
_LEGACY: Final = {"grub.conf": "BOOTX64.conf"}

_LIST: Final = program(__file__, "efi_list.sh")
_COPY: Final = program(__file__, "efi_copy.sh")
_SAME: Final = 'cd "$1" && cmp -s "$2" "$3"'


def applies_to(os: GuestOS, options: MorphOptions) -> bool:
    """Return whether the guest starts from an EFI system partition."""
    return os.firmware is FirmwareKind.UEFI or _partition(os) is not None


def apply(guest: GuestTree, os: GuestOS, options: MorphOptions) -> Outcome:
    """Copy the loader with what it starts, and compare the copies."""
    partition = _partition(os)
    if partition is None:
        return Outcome(
            changed=False,
            done=False,
            summary="the guest does not mount its EFI system partition",
            remedy="mount it in /etc/fstab, or see that it has EFI/BOOT/BOOTX64.EFI",
        )
    top = f"{partition}/EFI"
    folders = _folders(guest.run(["sh", "-c", _LIST, "sh", top]).stdout)
    there = {name.upper(): name for name in folders.pop("BOOT", {}).values()}
    for arch, fallback in _FALLBACK.items():
        if fallback in there:
            return _completed(guest, top, arch, folders, there)
        for vendor, names in folders.items():
            loader = next((n for k in _LOADERS if (n := names.get(k.format(arch)))), None)
            if loader:
                copies = [(loader, fallback), *_companions(names, arch, loader)]
                _copy(guest, top, vendor, copies)
                return Outcome(changed=True, summary=f"{vendor}/{loader} copied to {fallback}")
    if any(name.endswith(".efi") for name in folders.get("Linux", {})):
        return Outcome(
            changed=False,
            done=False,
            summary="only its own boot entries start a unified kernel image",
            remedy="see that the UEFI variables go with the machine (keep_uefi_variables), or"
            " install a boot loader on the source (`bootctl install`), and transfer again",
        )
    raise MorphingError(
        f"no boot loader is in {top}: a new firmware cannot start the machine",
        "reinstall its boot loader on the source (`grub-install`), and transfer again",
    )


def _completed(
    guest: GuestTree,
    top: str,
    arch: str,
    folders: Mapping[str, Mapping[str, str]],
    there: Mapping[str, str],
) -> Outcome:
    """See that a loader that was there finds what it starts: a shim alone starts nothing."""
    fallback = _FALLBACK[arch]
    if not {name.format(arch).upper() for name in _STARTED_BY_SHIM} & set(there):
        for vendor, names in folders.items():
            shim = names.get(f"shim{arch}.efi") or names.get("shim.efi")
            if shim and _same(guest, top, f"{vendor}/{shim}", f"BOOT/{there[fallback]}"):
                _copy(guest, top, vendor, list(_companions(names, arch, shim)))
                return Outcome(changed=True, summary=f"{fallback} got the GRUB of {vendor}")
    return Outcome(changed=False, summary=f"{fallback} is in place")


def _partition(os: GuestOS) -> str | None:
    for mount in os.mounts:
        usual = mount.fstype == "vfat" and mount.path in {"/boot/efi", "/efi", "/boot"}
        if usual or (os.esp and mount.device == os.esp):
            return mount.path
    return None


def _folders(listing: str) -> dict[str, dict[str, str]]:
    """Sort what was listed by folder: lower-case names, and how they are really written."""
    folders: dict[str, dict[str, str]] = {}
    for path in listing.split("\0")[:-1]:
        folder, _, name = path.partition("/")
        key = "BOOT" if folder.upper() == "BOOT" else folder
        folders.setdefault(key, {})[name.lower()] = name
    return folders


def _companions(names: Mapping[str, str], arch: str, loader: str) -> Iterator[tuple[str, str]]:
    for companion in _COMPANIONS:
        name = names.get(companion.format(arch).lower())
        if name and name != loader:
            yield name, name
    for source, target in _LEGACY.items():
        if source in names and loader.lower() == "grub.efi":
            yield names[source], target


def _copy(guest: GuestTree, top: str, vendor: str, copies: Sequence[tuple[str, str]]) -> None:
    words = [word for name, target in copies for word in (f"{vendor}/{name}", target)]
    guest.run(["sh", "-c", _COPY, "sh", top, *words])


def _same(guest: GuestTree, top: str, one: str, other: str) -> bool:
    return guest.run(["sh", "-c", _SAME, "sh", top, one, other], check=False).status == 0
