# SPDX-License-Identifier: Apache-2.0
"""Finding Debian's archive among a machine's apt sources."""

from pathlib import Path

import pytest

from images import apt
from images.apt import AptArchive
from tradewind.errors import NotFoundError

LINES = """\
# The archive.
deb http://mirror.test/debian bookworm main contrib  # trailing words
deb-src http://mirror.test/debian bookworm main
  deb [arch=amd64 signed-by=/usr/share/keyrings/other.gpg] https://other.test/apt bookworm main
deb [ trusted=yes ] file:/srv/own ./
deb https://cloud.test/apt cloud-sdk-bookworm main
"""

PARAGRAPHS = """\
Types: deb deb-src
# Comments may stand anywhere.
URIs: http://mirror.test/debian http://second.test/debian
Suites: bookworm bookworm-updates
Components: main
 contrib
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

types: deb
uris: http://mirror.test/security
suites: bookworm-security
components: main

Types: deb
Enabled: no
URIs: http://off.test/debian
Suites: bookworm
Components: main

Types: deb-src
URIs: http://source.test/debian
Suites: bookworm
Components: main
"""


def write(folder: Path, name: str, text: str) -> None:
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)


def test_one_line_sources() -> None:
    assert list(apt.parse(LINES, ".list")) == [
        AptArchive("http://mirror.test/debian", "bookworm", ("main", "contrib")),
        AptArchive(
            "https://other.test/apt", "bookworm", ("main",), "/usr/share/keyrings/other.gpg"
        ),
        AptArchive("file:/srv/own", "./", ()),
        AptArchive("https://cloud.test/apt", "cloud-sdk-bookworm", ("main",)),
    ]


def test_deb822_sources() -> None:
    key = "/usr/share/keyrings/debian-archive-keyring.gpg"
    assert list(apt.parse(PARAGRAPHS, ".sources")) == [
        AptArchive("http://mirror.test/debian", "bookworm", ("main", "contrib"), key),
        AptArchive("http://mirror.test/debian", "bookworm-updates", ("main", "contrib"), key),
        AptArchive("http://second.test/debian", "bookworm", ("main", "contrib"), key),
        AptArchive("http://second.test/debian", "bookworm-updates", ("main", "contrib"), key),
        AptArchive("http://mirror.test/security", "bookworm-security", ("main",)),
    ]


@pytest.mark.parametrize(
    ("source", "ours"),
    [
        (AptArchive("http://m.test/debian", "bookworm", ("main",)), True),
        (AptArchive("http://m.test/debian", "bookworm-security", ("contrib", "main")), True),
        (
            AptArchive("http://m.test/debian", "bookworm", ("main",), "/k/debian-archive-x.gpg"),
            True,
        ),
        (AptArchive("http://m.test/debian", "trixie", ("main",)), False),
        (AptArchive("http://m.test/pg", "bookworm-pgdg", ("main",)), False),
        (AptArchive("http://m.test/docker", "bookworm", ("stable",)), False),
        (AptArchive("http://m.test/other", "bookworm", ("main",), "/k/other.gpg"), False),
        (AptArchive("http://m.test/other", "bookworm", ("main",), "-----BEGIN PGP"), False),
    ],
)
def test_only_the_archive_of_the_release_is_debian(source: AptArchive, *, ours: bool) -> None:
    assert apt.is_debian(source, "bookworm") is ours


def test_the_machines_own_sources_are_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRADEWIND_APT_SOURCES", raising=False)
    write(tmp_path, "sources.list", "")
    write(tmp_path, "sources.list.d/debian.sources", PARAGRAPHS)
    write(tmp_path, "sources.list.d/cloud.list", LINES)
    write(tmp_path, "sources.list.d/old.list.disabled", "deb http://old.test/debian bookworm main")
    found = apt.debian_sources("bookworm", tmp_path)
    assert [(source.uri, source.suite) for source in found] == [
        ("http://mirror.test/debian", "bookworm"),
        ("http://mirror.test/debian", "bookworm"),
        ("http://mirror.test/debian", "bookworm-updates"),
        ("http://second.test/debian", "bookworm"),
        ("http://second.test/debian", "bookworm-updates"),
        ("http://mirror.test/security", "bookworm-security"),
    ]


def test_the_archives_of_another_release_serve(tmp_path: Path) -> None:
    write(tmp_path, "sources.list.d/debian.sources", PARAGRAPHS)
    found = apt.debian_sources("trixie", tmp_path)
    assert [(source.uri, source.suite) for source in found] == [
        ("http://mirror.test/debian", "trixie"),
        ("http://mirror.test/debian", "trixie-updates"),
        ("http://second.test/debian", "trixie"),
        ("http://second.test/debian", "trixie-updates"),
        ("http://mirror.test/security", "trixie-security"),
    ]


def test_what_is_no_release_of_debian_is_borrowed_for_none(tmp_path: Path) -> None:
    write(tmp_path, "sources.list", "deb http://cloud.test/apt cloud-sdk-bookworm main\n")
    with pytest.raises(NotFoundError, match="Debian trixie"):
        apt.debian_sources("trixie", tmp_path)


def test_a_file_can_be_named_instead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "mine.list", "deb http://mine.test/debian bookworm main\n")
    monkeypatch.setenv("TRADEWIND_APT_SOURCES", str(tmp_path / "mine.list"))
    (found,) = apt.debian_sources("bookworm", tmp_path / "nowhere")
    assert found.uri == "http://mine.test/debian"


def test_no_archive_is_refused_with_a_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TRADEWIND_APT_SOURCES", raising=False)
    write(tmp_path, "sources.list", "deb http://mirror.test/debian bookworm-security main\n")
    with pytest.raises(NotFoundError, match="Debian bookworm") as refused:
        apt.debian_sources("bookworm", tmp_path)
    assert "TRADEWIND_APT_SOURCES" in refused.value.hint


def test_an_image_trusts_debians_keys_only() -> None:
    sources = [AptArchive("http://m.test/debian", "bookworm", ("main", "contrib", "non-free"))]
    assert apt.render(sources) == (
        "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]"
        " http://m.test/debian bookworm main\n"
    )
