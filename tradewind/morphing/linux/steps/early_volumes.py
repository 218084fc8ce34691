# SPDX-License-Identifier: Apache-2.0
"""Name the arrays and encrypted volumes that have to be there before the root is mounted."""

from collections.abc import Iterator
from typing import Final

from tradewind.errors import MorphingError
from tradewind.model.guest import (
    Family,
    GuestOS,
    Layer,
    LayerKind,
    MorphOptions,
    Outcome,
)
from tradewind.morphing import backup, files
from tradewind.ports import GuestTree

_CRYPTTAB: Final = "/etc/crypttab"
# Debian's, everyone else's. Format: mdadm.conf(5).
_MDADM: Final = ("/etc/mdadm/mdadm.conf", "/etc/mdadm.conf")


def applies_to(os: GuestOS, options: MorphOptions) -> bool:
    """Return whether the system stands on such layers."""
    kinds = {layer.kind for layer in _layers(os)}
    return LayerKind.MD in kinds or (os.family is Family.DEBIAN and LayerKind.LUKS in kinds)


def apply(guest: GuestTree, os: GuestOS, options: MorphOptions) -> Outcome:
    """Add ARRAY lines and Debian's option `initramfs` where they are missing."""
    texts = files.read(guest, _CRYPTTAB, *_MDADM)
    layers = _layers(os)
    new = dict(_with_arrays(texts, [x for x in layers if x.kind is LayerKind.MD], os))
    if os.family is Family.DEBIAN and _CRYPTTAB in texts:
        containers = [layer for layer in layers if layer.kind is LayerKind.LUKS]
        new[_CRYPTTAB] = _marked(texts[_CRYPTTAB], containers)
    changed = [path for path, text in new.items() if text != texts.get(path, "")]
    for path in changed:
        if path in texts:
            backup.rewrite(guest, path, new[path])
        else:
            guest.write_text(path, new[path])
    _prove(guest, layers, os)
    if not changed:
        return Outcome(changed=False, summary="all of them are named")
    return Outcome(changed=True, summary=f"completed {', '.join(changed)}")


def _layers(os: GuestOS) -> list[Layer]:
    """List what the root, /usr and swap space stand on: a machine may wake up from the last."""
    early = {mount.device for mount in os.mounts if mount.path in {"/", "/usr"}}
    below = [f for f in os.filesystems if f.device in early or f.fstype == "swap"]
    return list(dict.fromkeys(layer for filesystem in below for layer in filesystem.layers))


def _with_arrays(
    texts: dict[str, str], arrays: list[Layer], os: GuestOS
) -> Iterator[tuple[str, str]]:
    if not arrays:
        return
    usual = _MDADM[0] if os.family is Family.DEBIAN else _MDADM[1]
    path = next((path for path in _MDADM if path in texts), usual)
    text = texts.get(path, "")
    missing = [array for array in arrays if array.uuid.lower() not in text.lower()]
    lines = "".join(f"ARRAY /dev/md/{array.name} UUID={array.uuid}\n" for array in missing)
    yield path, (f"{text.rstrip()}\n" if text else "") + lines if missing else text


def _marked(text: str, containers: list[Layer]) -> str:
    """Give lines of these containers the option `initramfs`. Format: Debian's crypttab(5)."""
    names = {container.name for container in containers}
    lines = text.splitlines(keepends=True)
    return "".join(
        _with_option(ln) if ln.split()[:1] and ln.split()[0] in names else ln for ln in lines
    )


def _with_option(line: str) -> str:
    fields = line.split()
    name, device, key, options = [*fields, *("", "", "none", "luks")[len(fields) :]][:4]
    # A key from /dev/urandom: the container is made anew at each start, later.
    if not device or key.startswith("/dev/") or "initramfs" in options.split(","):
        return line
    return f"{name} {device} {key} {options},initramfs\n"


def _prove(guest: GuestTree, layers: list[Layer], os: GuestOS) -> None:
    texts = files.read(guest, _CRYPTTAB, *_MDADM)
    arrays = " ".join(text.lower() for path, text in texts.items() if path in _MDADM)
    for layer in layers:
        if layer.kind is LayerKind.MD and layer.uuid.lower() not in arrays:
            raise MorphingError(f"no mdadm.conf names the array {layer.name} ({layer.uuid})")
    containers = [layer for layer in layers if layer.kind is LayerKind.LUKS]
    crypttab = texts.get(_CRYPTTAB, "")
    if os.family is Family.DEBIAN and _marked(crypttab, containers) != crypttab:
        raise MorphingError(f"{_CRYPTTAB} does not have what was written into it")
