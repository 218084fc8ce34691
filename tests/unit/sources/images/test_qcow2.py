# SPDX-License-Identifier: Apache-2.0
import json
import struct
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from tests.fakes.images import BACKING_FORMAT, DATA_FILE, extension, forge_qcow2, patch
from tradewind.errors import ImageFormatError
from tradewind.sources.images import qcow2
from tradewind.sources.images.layer import LARGEST, ImageLayer, Reference
from tradewind.sources.images.opening import opened

MiB = 1 << 20
ENCRYPTION, BITMAPS, FEATURE_NAMES = 0x0537BE77, 0x23852875, 0x6803F857


def read(path: Path) -> ImageLayer:
    with opened(path.parent, path) as file:
        return qcow2.read(file)


def qemu_says(path: Path) -> dict[str, Any]:
    done = subprocess.run(
        ["qemu-img", "info", "--output=json", "-f", "qcow2", path],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return dict(json.loads(done.stdout)) if done.returncode == 0 else {}


@pytest.fixture
def image(tmp_path: Path) -> Path:
    return forge_qcow2(tmp_path / "a.qcow2", b"")


@pytest.mark.parametrize(
    ("offset", "content", "said"),
    [
        (4, struct.pack(">I", 4), "version 4"),
        (20, struct.pack(">I", 8), r"clusters of 2\^8 bytes"),
        (20, struct.pack(">I", 0xFFFFFFFF), r"clusters of 2\^4294967295 bytes"),
        (24, struct.pack(">Q", MiB + 1), "not whole sectors"),
        (24, struct.pack(">Q", 6 << 60), r"claims a disk of .* TiB; 256\.0 TiB is the most"),
        (24, struct.pack(">Q", (1 << 64) - 512), "claims a disk"),
        (24, struct.pack(">Q", LARGEST), "an L1 table of only 1 entries"),
        (32, struct.pack(">I", 1), "is encrypted"),
        (32, struct.pack(">I", 2), "is encrypted"),
        (36, struct.pack(">I", 0xFFFFFFFF), "an L1 table of 4294967295 entries"),
        (36, struct.pack(">I", 1 << 20), "the L1 table is beyond the end of the file"),
        (36, struct.pack(">I", 0), "an L1 table of only 0 entries"),
        (40, struct.pack(">Q", 1 << 63), "the L1 table is beyond the end"),
        (40, struct.pack(">Q", 0x30008), "the L1 table is at byte 196616"),
        (40, struct.pack(">Q", 0), "the L1 table is at byte 0"),
        (48, struct.pack(">Q", 1 << 40), "the refcount table is beyond the end"),
        (56, struct.pack(">I", 0xFFFFFFFF), "a refcount table of 281474976645120 bytes"),
        (56, struct.pack(">I", 0), "no refcount table"),
        (60, struct.pack(">I", 0xFFFFFFFF), "4294967295 snapshots"),
        (60, struct.pack(">IQ", 9, 1 << 50), "the snapshot table is beyond the end"),
        (72, struct.pack(">Q", 2), "is marked as corrupt"),
        (72, struct.pack(">Q", 4), "keeps its data in another file"),
        (72, struct.pack(">Q", 32), "features that are not known here: bits 0x20, 0x0, 0x0"),
        (80, struct.pack(">Q", 2), "features that are not known here: bits 0x0, 0x2, 0x0"),
        (88, struct.pack(">Q", 4), "features that are not known here: bits 0x0, 0x0, 0x4"),
        (88, struct.pack(">Q", 2), "keeps its data in another file"),
        (96, struct.pack(">I", 7), r"refcounts of 2\^7 bits"),
        (100, struct.pack(">I", 72), "a header of 72 bytes"),
        (100, struct.pack(">I", 1 << 30), "a header of 1073741824 bytes"),
        (8, struct.pack(">QI", 1 << 40, 5), "do not end in the first cluster"),
        (8, struct.pack(">QI", 65530, 100), "a backing file's name of 100 bytes"),
        (8, struct.pack(">QI", 1024, 5000), "a backing file's name of 5000 bytes"),
        (8, struct.pack(">QI", 4, 8), "a backing file's name of 8 bytes at byte 4"),
    ],
)
def test_a_claim_that_cannot_be_is_named(
    image: Path, offset: int, content: bytes, said: str
) -> None:
    patch(image, offset, content)
    with pytest.raises(ImageFormatError, match=said) as caught:
        read(image)
    assert str(image) in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize(
    ("extensions", "said"),
    [
        (
            extension(BACKING_FORMAT, b"raw") + extension(BACKING_FORMAT, b"qcow2"),
            "two header extensions of type 0xe2792aca",
        ),
        (extension(FEATURE_NAMES, b"") * 2, "two header extensions"),
        (extension(DATA_FILE, b"/etc/shadow"), "keeps its data in another file"),
        (extension(ENCRYPTION, bytes(16)), "is encrypted"),
        (extension(BITMAPS, bytes(23)), "a bitmaps extension of 23 bytes"),
        (extension(BITMAPS, struct.pack(">IIQQ", 1 << 20, 0, 9, 65536)), "1048576 bitmaps"),
        (extension(BITMAPS, struct.pack(">IIQQ", 1, 0, 9, 1 << 50)), "the bitmap directory is"),
        (extension(0x12345678, b"/etc/shadow"), "a header extension that is not known here"),
        (struct.pack(">II", BACKING_FORMAT, 1 << 31), "an extension of 2147483648 bytes"),
        (extension(BACKING_FORMAT, b"\xff\xfe"), "the backing file's format is no text"),
        (extension(BACKING_FORMAT, b"raw\x1b[2J"), "the backing file's format is"),
    ],
)
def test_what_an_extension_may_not_say_is_named(
    tmp_path: Path, extensions: bytes, said: str
) -> None:
    path = forge_qcow2(tmp_path / "a.qcow2", extensions, b"b.img")
    with pytest.raises(ImageFormatError, match=said):
        read(path)


@pytest.mark.parametrize("name", [b"b\0/etc/passwd", b"\xff\xfe", b"b\n.img", b"\x1b]0;x\x07"])
def test_a_name_that_is_no_text_is_refused_and_not_shown_raw(tmp_path: Path, name: bytes) -> None:
    path = forge_qcow2(tmp_path / "a.qcow2", b"", name)
    with pytest.raises(ImageFormatError, match="the backing file's name is") as caught:
        read(path)
    assert caught.value.message.isprintable()


def test_dirty_bitmaps_are_no_reason_to_refuse(image: Path) -> None:
    subprocess.run(["qemu-img", "bitmap", "--add", image, "day"], check=True)
    assert read(image) == ImageLayer(MiB)


def test_an_image_that_was_not_closed_is_for_qemu_to_judge(image: Path) -> None:
    patch(image, 72, struct.pack(">Q", 1))
    assert read(image) == ImageLayer(MiB)


OPTIONS = st.fixed_dictionaries(
    {
        "compat": st.sampled_from(["0.10", "1.1"]),
        "cluster_size": st.sampled_from([512 << n for n in range(13)]),
        "preallocation": st.sampled_from(["off", "metadata"]),
    },
    optional={
        "lazy_refcounts": st.booleans(),
        "refcount_bits": st.sampled_from([1, 2, 8, 16, 64]),
        "compression_type": st.sampled_from(["zlib", "zstd"]),
        "extended_l2": st.booleans(),
        "backing": st.tuples(
            st.text("abcdefghij-_ .éß", min_size=1, max_size=60), st.sampled_from(["raw", "qcow2"])
        ),
    },
)


def _create(path: Path, size: int, options: dict[str, Any]) -> bool:
    """Have QEMU make an image; some combinations it refuses itself."""
    said = dict(options)
    name, backing_format = said.pop("backing", ("", ""))
    backing = ["-u", "-b", name, "-F", backing_format] if name else []
    if name:
        said.pop("preallocation", None)
    words = ",".join(
        f"{key}={'on' if value is True else 'off' if value is False else value}"
        for key, value in said.items()
    )
    argv = ["qemu-img", "create", "-q", "-f", "qcow2", *backing, "-o", words, path, str(size)]
    return subprocess.run(argv, check=False, capture_output=True, timeout=60).returncode == 0


@given(size=st.integers(0, 20).map(lambda n: n * 100_000_000 + n * 512), options=OPTIONS)
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_of_what_qemu_makes_we_say_what_qemu_says(
    tmp_path: Path, size: int, options: dict[str, Any]
) -> None:
    path = tmp_path / "made.qcow2"
    path.unlink(missing_ok=True)
    if options["preallocation"] == "metadata" and options["cluster_size"] < 65536:
        size %= 50_000_000  # the tables of small clusters take long to write
        size -= size % 512
    assume(_create(path, size, options))
    said, layer = qemu_says(path), read(path)
    assert layer.capacity == said["virtual-size"]
    named = (said.get("backing-filename"), said.get("backing-filename-format"))
    ours = (layer.backing.name, layer.backing.format) if layer.backing else (None, None)
    assert ours == named


# A header's fields, its extensions and the name lie in these first bytes.
_CHANGES = st.lists(
    st.tuples(st.integers(0, 400), st.binary(min_size=1, max_size=8)), min_size=1, max_size=4
)


@given(changes=_CHANGES, cut=st.one_of(st.none(), st.integers(0, 600)))
@settings(
    max_examples=600, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_whatever_a_header_says_it_is_read_or_refused(
    tmp_path: Path, changes: list[tuple[int, bytes]], cut: int | None
) -> None:
    path = tmp_path / "fuzzed.qcow2"
    if not path.exists():
        forge_qcow2(path, extension(BACKING_FORMAT, b"qcow2"), b"base.qcow2")
    good = path.read_bytes()
    try:
        for offset, content in changes:
            patch(path, offset, content)
        if cut is not None:
            path.write_bytes(path.read_bytes()[:cut])
        try:
            assert read(path).capacity <= LARGEST
        except ImageFormatError as error:
            assert error.message.isprintable()  # noqa: PT017 - either is right
    finally:
        path.write_bytes(good)


_EXTENSIONS = st.lists(
    st.builds(
        extension,
        st.sampled_from([BACKING_FORMAT, FEATURE_NAMES, DATA_FILE, BITMAPS, ENCRYPTION, 0, 77]),
        st.sampled_from([b"raw", b"qcow2", b"nbd", b"", b"/etc/passwd", bytes(48), bytes(24)]),
    ),
    max_size=3,
).map(b"".join)


@given(
    extensions=_EXTENSIONS,
    name=st.sampled_from([b"", b"b.img", b"nbd://198.18.0.1/x", b"json:{}", b"../b.img"]),
    moved=st.integers(-16, 16),
)
@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_what_we_accept_names_the_files_that_qemu_would_open(
    tmp_path: Path, extensions: bytes, name: bytes, moved: int
) -> None:
    path = forge_qcow2(tmp_path / "forged.qcow2", extensions, name)
    if name:
        place, length = struct.unpack(">QI", path.read_bytes()[8:20])
        patch(path, 8, struct.pack(">QI", max(0, place + moved), length))
    try:
        layer = read(path)
    except ImageFormatError:
        return
    said = qemu_says(path)
    if not said:
        return  # QEMU refuses more than we do
    ours = layer.backing or Reference("", "")
    assert ours.name == said.get("backing-filename", "")
    assert ours.format == said.get("backing-filename-format", "")
    assert "data-file" not in said["format-specific"]["data"]
