# SPDX-License-Identifier: Apache-2.0
"""INF files as text."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tradewind.errors import OptionError
from tradewind.morphing.windows.drivers.inf import Inf, InfSection, Line, parse, read, render

TEXT = """\
; [Version]
Decoy = before any section
[Version] ; the class
Class = SCSIAdapter
CatalogFile=a;b.cat
"Quoted;Key" = "x;y", "say ""yes"" twice"
;Class = Decoy
[Models.NTamd64]
%Desc% = inst, PCI\\VEN_1AF4&DEV_1001, PCI\\VEN_1AF4
%desc% = inst, \\ ; goes on
         PCI\\VEN_1AF4&DEV_1042
[version]
Late=1
[Files]
one.sys,,,2
"two words.sys"
three = a,,"",
empty =
%%SystemRoot%%\\%12%\\%unknown%, " spaces kept ", "not closed, so ; to the end
[Strings]
DESC = "Red ""Hat"" SCSI"
[Strings.0407]
desc = Deutsch
other = nur hier
[Use]
x = %Other%, 100%%
"""


def test_sections_lines_and_strings() -> None:
    inf = parse(TEXT)
    assert [section.name for section in inf.sections] == [
        "Version",
        "Models.NTamd64",
        "Files",
        "Strings",
        "Strings.0407",
        "Use",
    ]
    assert inf.lines("VERSION") == (
        Line("Class", ("SCSIAdapter",)),
        Line("CatalogFile", ("a",)),
        Line("Quoted;Key", ("x;y", 'say "yes" twice')),
        Line("Late", ("1",)),
    )
    assert list(inf.all_of("models.ntAMD64", 'Red "Hat" SCSI')) == [
        ("inst", "PCI\\VEN_1AF4&DEV_1001", "PCI\\VEN_1AF4"),
        ("inst", "PCI\\VEN_1AF4&DEV_1042"),
    ]
    assert inf.lines("Files") == (
        Line(None, ("one.sys", "", "", "2")),
        Line(None, ("two words.sys",)),
        Line("three", ("a", "", "", "")),
        Line("empty", ()),
        Line(
            None, ("%SystemRoot%\\%12%\\%unknown%", " spaces kept ", "not closed, so ; to the end")
        ),
    )
    assert inf.lines("use") == (Line("x", ("nur hier", "100%")),)


def test_missing_sections_and_keys_are_empty() -> None:
    inf = parse(TEXT)
    assert (inf.one("Version", "nothing"), inf.one("nothing", "Class")) == ("", "")
    assert (inf.one("Files", "empty"), inf.lines("nothing"), inf.has("nothing")) == ("", (), False)
    assert inf.has("strings")


@pytest.mark.parametrize(
    "text", ["", "\\", "a\\", "[open", "[]", "=", "[x]\n=", "[x]\n,", '[x]\n"']
)
def test_odd_texts_are_read(text: str) -> None:
    assert parse(text) == parse(render(parse(text)))


@pytest.mark.parametrize(
    "content",
    [
        "[Strings]\r\nä = Gerät\r\n".encode(),
        b"\xef\xbb\xbf" + "[Strings]\nä = Gerät\n".encode(),
        b"\xff\xfe" + "[Strings]\r\nä = Gerät\r\n".encode("utf-16-le"),
        b"\xfe\xff" + "[Strings]\rä = Gerät\r".encode("utf-16-be"),
        "[Strings]\r\nä = Gerät\r\n".encode("cp1252"),
    ],
    ids=["UTF-8", "UTF-8 with a mark", "UTF-16", "UTF-16, big end first", "Windows-1252"],
)
def test_encodings(content: bytes) -> None:
    assert read("x.inf", content).one("Strings", "ä") == "Gerät"


@pytest.mark.parametrize(
    ("content", "reason"), [(b" " * (1 << 20) + b" ", "larger than 1 MiB"), (b"MZ\0\0", "no text")]
)
def test_what_is_no_inf_file_is_refused(content: bytes, reason: str) -> None:
    with pytest.raises(OptionError, match=rf"viostor.inf is .*{reason}.*no INF file"):
        read("viostor.inf", content)


LINE_ENDS = st.characters(exclude_characters="\r\n\0", exclude_categories=["Cs"])
WORDS = st.text(LINE_ENDS, max_size=12) | st.sampled_from(
    ["", '"', '""', "\\", ";", ",", "=", "[", "]", " ", "a\\", " a ", "PCI\\VEN_1AF4&DEV_1001"]
)
KEYED = st.builds(Line, WORDS, st.lists(WORDS, max_size=4).map(tuple))
KEYLESS = st.builds(Line, st.none(), st.lists(WORDS, min_size=1, max_size=4).map(tuple))


@settings(deadline=None, max_examples=30)
@given(
    st.lists(
        st.builds(InfSection, WORDS, st.lists(KEYED | KEYLESS, max_size=4).map(tuple)),
        max_size=4,
        unique_by=lambda section: section.name.lower(),
    ).map(Inf)
)
def test_what_is_rendered_parses_to_the_same(inf: Inf) -> None:
    assert parse(render(inf)) == inf


def test_a_line_of_thousands_of_values_is_read() -> None:
    assert len(parse("[x]\n" + "," * 50_000).lines("x")[0].values) == 50_001


@settings(deadline=None, max_examples=30)
@given(st.text(max_size=200) | st.text('[]=;,"\\% \nab', max_size=60))
def test_any_text_is_read(text: str) -> None:
    inf = parse(text)
    assert parse(render(inf)) == inf
    for section in inf.sections:
        assert len(inf.lines(section.name)) == len(section.lines)
