# SPDX-License-Identifier: Apache-2.0
"""Hives read and edited by path, judged by hivexregedit, hivexget and regipy."""

import subprocess
from pathlib import Path

import pytest
from regipy import registry

from tests.fakes import windows_hives
from tests.fakes.windows_hives import WIN10, exported
from tradewind.errors import MorphingError, NotFoundError
from tradewind.morphing.windows.hives import libhivex
from tradewind.morphing.windows.hives.hive import editing, opened
from tradewind.morphing.windows.hives.replay import replayed
from tradewind.morphing.windows.hives.values import Value, binary, dword, expand_sz, multi_sz, sz

SERVICE = "ControlSet001\\Services\\viostor"
VALUES = {
    "Start": dword(0),
    "Group": sz("SCSI miniport"),
    "ImagePath": expand_sz("system32\\drivers\\viostor.sys"),
    "Owners": multi_sz("one.inf", "two.inf"),
    "Blob": binary(bytes(range(256))),
    "Text": sz("größer"),
}


def edited(hive: bytes, *logs: bytes) -> bytes:
    with editing("SYSTEM", replayed("SYSTEM", hive, logs)) as lent:
        lent.hive.set_all(SERVICE, VALUES)
        lent.hive.remove("ControlSet001\\Services\\storahci\\StartOverride")
    return lent.content


def test_edit_changes_what_it_says_and_nothing_else() -> None:
    before = exported(windows_hives.clean(WIN10))
    after = exported(edited(windows_hives.clean(WIN10)))
    assert after.pop(SERVICE) == {n: (v.kind, v.content) for n, v in VALUES.items()}
    before.pop("ControlSet001\\Services\\storahci\\StartOverride")
    assert after == before


def test_edit_of_a_dirty_hive_keeps_what_only_its_logs_held() -> None:
    expected = exported(windows_hives.dirty().expected)
    after = exported(edited(windows_hives.dirty().hive, *windows_hives.dirty().logs))
    assert after.pop(SERVICE)
    expected.pop("ControlSet001\\Services\\storahci\\StartOverride")
    assert after == expected
    assert exported(windows_hives.dirty().hive) != expected


def test_other_readers_find_what_was_written(tmp_path: Path) -> None:
    path = tmp_path / "SYSTEM"
    path.write_bytes(edited(windows_hives.dirty().hive, *windows_hives.dirty().logs))
    said = subprocess.run(
        ["hivexget", path, SERVICE, "ImagePath"], check=True, capture_output=True, text=True
    )
    assert said.stdout == "system32\\drivers\\viostor.sys\n"
    key = registry.RegistryHive(str(path)).get_key(f"\\{SERVICE}")
    assert {v.name for v in key.get_values()} == VALUES.keys()
    assert key.get_value("Owners") == ["one.inf", "two.inf"]


def test_edit_that_changes_nothing_gives_the_same_bytes() -> None:
    once = edited(windows_hives.dirty().hive, *windows_hives.dirty().logs)
    assert once != windows_hives.dirty().expected
    assert edited(once) == once


def test_changes_are_told_with_what_was_before() -> None:
    with editing("SYSTEM", replayed("SYSTEM", windows_hives.clean(WIN10))) as lent:
        lent.hive.set("Select", "default", dword(1))
        lent.hive.set("select", "DEFAULT", dword(2))
        lent.hive.set("Setup\\New", "", multi_sz("a", "b"))
        lent.hive.remove("ControlSet001\\Services\\storahci\\StartOverride")
        lent.hive.remove("ControlSet001\\Services\\storahci\\StartOverride")
    assert [str(change) for change in lent.hive.changes] == [
        "select: DEFAULT = 2 (was 1)",
        "Setup\\New: (default) = a, b",
        "ControlSet001\\Services\\storahci\\StartOverride removed",
    ]


def test_keys_and_values_are_read_however_they_are_written() -> None:
    with opened("SYSTEM", replayed("SYSTEM", windows_hives.clean(WIN10))) as hive:
        assert hive.has("controlset001\\SERVICES")
        assert not hive.has("ControlSet001\\Services\\viostor")
        assert hive.subkeys("HardwareConfig") == ("{7e57da7a-0009-4000-8000-000000000005}",)
        assert hive.subkeys("nothing\\here") == ()
        assert hive.values("nothing\\here") == {}
        assert hive.number("Select", "CURRENT") == 1
        assert hive.text("ControlSet001\\Control\\ProductOptions", "ProductType") == "WinNT"
        assert hive.texts("ControlSet001\\Control\\ProductOptions", "ProductSuite") == (
            "Terminal Server",
        )
        assert (hive.text("Select", "Current"), hive.texts("Select", "Current")) == ("", ())
        assert hive.number("ControlSet001\\Control\\ProductOptions", "ProductType") is None


def test_names_of_any_language_are_written_and_found() -> None:
    with editing("SYSTEM", replayed("SYSTEM", windows_hives.clean(WIN10))) as lent:
        lent.hive.set("Setup\\größer", "Ж", dword(1))
    with opened("SYSTEM", replayed("SYSTEM", lent.content)) as hive:
        assert hive.values("Setup\\größer") == {"Ж": dword(1)}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Value(1, "ab\0old memory".encode("utf-16-le")), "ab"),
        (Value(1, b"a\0b"), "a"),
        (Value(1, b""), ""),
        (Value(7, "a\0\0b\0".encode("utf-16-le")), "a, b"),
        (Value(4, b"\x01\x00"), "01 00"),
        (Value(11, (1 << 40).to_bytes(8, "little")), "1099511627776"),
        (Value(0xFFFF0012, b"\x7f"), "7f"),
    ],
)
def test_values_are_read_as_what_they_mean(value: Value, text: str) -> None:
    assert str(value) == text


def test_nothing_is_written_beside_a_large_value_which_hivex_would_spoil() -> None:
    whole = replayed("SYSTEM", windows_hives.with_large_value())
    with editing("SYSTEM", whole) as lent:
        assert len(lent.hive.values("outer\\inner")["large"].content) == 20000
        with pytest.raises(MorphingError, match="larger than 16344 bytes"):
            lent.hive.set("outer\\inner", "small", dword(8))
        with pytest.raises(MorphingError, match="larger than 16344 bytes"):
            lent.hive.set("outer\\other", "new", binary(bytes(16345)))


def test_key_whose_value_has_no_data_is_not_removed_by_ending_this_process() -> None:
    hive = bytearray(windows_hives.with_large_value())
    at = hive.rindex(b"vk", 0, hive.index(b"small"))
    hive[at + 4 : at + 12] = (0).to_bytes(4, "little") + (0x7FFFFFF0).to_bytes(4, "little")
    with editing("SYSTEM", replayed("SYSTEM", bytes(hive))) as lent:
        for change in (lent.hive.remove, lambda path: lent.hive.set(path, "new", dword(1))):
            with pytest.raises(MorphingError, match="cannot be read: hivex says Bad address"):
                change("outer\\inner")
    assert lent.content == bytes(hive)


def test_failed_edit_leaves_no_file_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    whole = replayed("SYSTEM", windows_hives.clean(WIN10))
    with pytest.raises(ZeroDivisionError), editing("SYSTEM", whole) as lent:
        lent.hive.set("Setup", "x", dword(1 // 0))
    assert [*tmp_path.rglob("hive")] == []
    assert lent.content == whole.content


def test_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(libhivex, "LIBRARY", "libhivex.so.99")
    libhivex._library.cache_clear()
    try:
        with pytest.raises(NotFoundError, match="is not on this machine"):
            libhivex.Handle(Path("SYSTEM"))
    finally:
        libhivex._library.cache_clear()


def test_file_that_is_no_hive_is_named(tmp_path: Path) -> None:
    (tmp_path / "SYSTEM").write_bytes(bytes(9000))
    with pytest.raises(MorphingError, match="cannot be opened: hivex says Operation not supported"):
        libhivex.Handle(tmp_path / "SYSTEM")
