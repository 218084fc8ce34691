# SPDX-License-Identifier: Apache-2.0
"""Menus of boot loaders: the entries in their order, and which one starts by itself."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Final

from tradewind.morphing.linux.boot.commandline import ENTRIES, EXTLINUX, GRUB, GRUB_LEGACY, GRUBENV
from tradewind.morphing.linux.boot.kernels import natural

LOADER_CONF: Final = ("/boot/loader/loader.conf", "/efi/loader/loader.conf",
                      "/boot/efi/loader/loader.conf")  # fmt: skip
FILES: Final = (*LOADER_CONF, *ENTRIES, *GRUB, *GRUBENV, *GRUB_LEGACY, *EXTLINUX)

_KERNEL: Final = re.compile(r"^[ \t]*(?:linux(?:16|efi)?|kernel)[ \t]+(\S+)", re.MULTILINE | re.I)
_OPENING: Final = re.compile(r"^[ \t]*(menuentry|submenu)[ \t]+(['\"])(.*?)\2(.*)\{[ \t]*$")
_ID: Final = re.compile(r"(?:--id|\$menuentry_id_option)[ \t=]+['\"]?([^'\"\s{]+)")
# The header of what grub-mkconfig writes; a choice for one start only is not the default.
SET_DEFAULT: Final = re.compile(r'^([ \t]*set default=")(?!\$\{next_entry\})([^"\n]*)(")', re.M)
SAVED: Final = re.compile(r"^(saved_entry=)([^\n]*)()", re.MULTILINE)
SYSTEMD_DEFAULT: Final = re.compile(r"^(default[ \t]+)(\S+)()", re.MULTILINE)
LEGACY_DEFAULT: Final = re.compile(r"^([ \t]*default[ \t=]+)(\S+)()", re.MULTILINE | re.I)


@dataclass(slots=True)
class MenuEntry:
    """One line of a menu; `name` is what the loader's default has to say to start it."""

    name: str
    title: str
    kernel: str = ""
    children: list["MenuEntry"] = field(default_factory=list)

    def walk(self) -> Iterator["MenuEntry"]:
        """Give this entry, or those of the submenu that it is, all named from the top."""
        if not self.children:
            yield self
        for child in self.children:
            for entry in child.walk():
                yield MenuEntry(f"{self.name}>{entry.name}", entry.title, entry.kernel)


@dataclass(frozen=True, slots=True)
class Menu:
    """`path` has the default, as `pattern` finds it (in group 2) and as `line` would write it."""

    path: str
    pattern: re.Pattern[str]
    line: str
    entries: tuple[MenuEntry, ...]
    default: MenuEntry | None


def read(texts: Mapping[str, str], unified: Sequence[str] = ()) -> tuple[Menu, ...]:
    """Read all menus of a guest from these files (`FILES`), and from its unified kernel images.

    systemd-boot lists the latter, given as paths, without a file of their own.
    """
    return tuple(_menus(texts, unified))


def _menus(texts: Mapping[str, str], unified: Sequence[str]) -> Iterator[Menu]:
    described = _described(texts)
    for path in (p for p in LOADER_CONF if p in texts):
        yield _systemd_boot(path, texts[path], [*described, *_unified(unified)])
    for path, text in texts.items():
        if path.endswith("/grub.cfg") and "blscfg" in text and described:
            yield _grub_described(path, texts, described)
        elif path.endswith("/grub.cfg") and (top := _grub_entries(text)):
            yield _grub(path, text, texts, top)
        elif path in GRUB_LEGACY and (listed := _listed(text, "title")):
            yield _by_number(path, text, listed)
        elif path in EXTLINUX and (listed := _listed(text, "label")):
            yield _by_label(path, text, listed)


def _described(texts: Mapping[str, str]) -> list[MenuEntry]:
    """Read the files of the Boot Loader Specification, the newest first."""
    found = []
    for path, text in texts.items():
        kernel = _KERNEL.search(text)
        if "/loader/entries/" in path and kernel:
            name = path.rpartition("/")[2].removesuffix(".conf")
            found.append(MenuEntry(name, name, kernel[1]))
    return sorted(found, key=lambda entry: natural(entry.name), reverse=True)


def _unified(paths: Sequence[str]) -> Iterator[MenuEntry]:
    for path in dict.fromkeys(paths):
        name = path.rpartition("/")[2]
        yield MenuEntry(name, name, path)


def _systemd_boot(path: str, text: str, entries: Sequence[MenuEntry]) -> Menu:
    """Its default is a pattern of file names, the newest comes first. Format: loader.conf(5)."""
    said = SYSTEMD_DEFAULT.search(text)
    pattern = said[2].removesuffix(".conf").lower() if said else "*"
    newest = sorted(entries, key=lambda entry: _version(entry.name), reverse=True)
    listed = [MenuEntry(_file(entry.name), entry.title, entry.kernel) for entry in newest]
    matching = (e for e in listed if fnmatchcase(_stem(e.name).lower(), pattern))
    default = next(matching, None) or next(iter(listed), None)
    return Menu(path, SYSTEMD_DEFAULT, "default {}\n", tuple(listed), default)


def _file(name: str) -> str:
    return name if name.endswith(".efi") else f"{name}.conf"


def _stem(name: str) -> str:
    return name.removesuffix(".conf")


def _version(name: str) -> list[tuple[int, str]]:
    """Compare what follows the machine's name: "abc-6.12.efi" with "abc-6.1"."""
    return natural(name.removesuffix(".efi").partition("-")[2] or name)


def _grub_described(path: str, texts: Mapping[str, str], entries: Sequence[MenuEntry]) -> Menu:
    environment, saved = _saved(texts)
    chosen = next((e for e in entries if e.name == saved), None)
    if chosen is None and saved.isdecimal() and int(saved) < len(entries):
        chosen = entries[int(saved)]
    default = chosen or next(iter(entries), None)
    return Menu(environment or path, SAVED, "saved_entry={}\n", tuple(entries), default)


def _saved(texts: Mapping[str, str]) -> tuple[str, str]:
    for path, text in texts.items():
        if path.endswith("/grubenv"):
            said = SAVED.search(text)
            return path, said[2].strip() if said else ""
    return "", ""


def _grub_entries(text: str) -> list[MenuEntry]:
    """Read nested menus. Only lines that open and close blocks matter."""
    top = MenuEntry("", "")
    open_blocks: list[MenuEntry | None] = [top]
    for line in text.splitlines():
        opening = _OPENING.match(line)
        if opening:
            name = _ID.search(opening[4])
            parent = next(block for block in reversed(open_blocks) if block is not None)
            entry = MenuEntry(name[1] if name else opening[3], opening[3])
            parent.children.append(entry)
            open_blocks.append(entry)
        elif line.rstrip().endswith("{"):
            open_blocks.append(None)
        elif line.strip() == "}" and len(open_blocks) > 1:
            open_blocks.pop()
        elif (kernel := _KERNEL.match(line)) and (inner := open_blocks[-1]) not in (None, top):
            inner.kernel = inner.kernel or kernel[1]
    return top.children


def _grub(path: str, text: str, texts: Mapping[str, str], top: list[MenuEntry]) -> Menu:
    said = [match[2] for match in SET_DEFAULT.finditer(text)]
    value = said[-1] if said else "0"
    environment, saved = _saved(texts)
    entries = tuple(entry for child in top for entry in child.walk())
    if "saved_entry" in value:
        default = _resolved(saved or "0", top)
        return Menu(environment or path, SAVED, "saved_entry={}\n", entries, default)
    return Menu(path, SET_DEFAULT, 'set default="{}"\n', entries, _resolved(value, top))


def _resolved(value: str, entries: Sequence[MenuEntry], above: str = "") -> MenuEntry | None:
    """Follow "1>2", by number, name or title, as GRUB does; submenus start their first entry."""
    first, _, rest = value.partition(">")
    found = next((e for e in entries if first in {e.name, e.title}), None)
    if found is None and first.isdecimal() and int(first) < len(entries):
        found = entries[int(first)]
    if found is None:
        return None
    name = f"{above}{found.name}"
    if found.children:
        return _resolved(rest or "0", found.children, f"{name}>")
    return MenuEntry(name, found.title, found.kernel)


def _listed(text: str, word: str) -> list[MenuEntry]:
    """Read entries that begin with such a word: menu.lst, extlinux.conf."""
    found: list[MenuEntry] = []
    for line in text.splitlines():
        first, _, rest = line.strip().partition(" ")
        kernel = _KERNEL.match(line)
        if first.lower() == word:
            found.append(MenuEntry(rest.strip(), rest.strip()))
        elif kernel and found and not found[-1].kernel:
            found[-1].kernel = kernel[1]
    return found


def _by_number(path: str, text: str, entries: list[MenuEntry]) -> Menu:
    said = LEGACY_DEFAULT.search(text)
    number = int(said[2]) if said and said[2].isdecimal() else 0
    default = entries[number] if number < len(entries) else None
    numbered = tuple(MenuEntry(str(n), e.title, e.kernel) for n, e in enumerate(entries))
    return Menu(path, LEGACY_DEFAULT, "default {}\n", numbered, default)


def _by_label(path: str, text: str, entries: list[MenuEntry]) -> Menu:
    said = LEGACY_DEFAULT.search(text)
    default = next((e for e in entries if said and e.name == said[2]), entries[0])
    return Menu(path, LEGACY_DEFAULT, "default {}\n", tuple(entries), default)
