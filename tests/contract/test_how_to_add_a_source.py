# SPDX-License-Identifier: Apache-2.0
"""docs/howto/add-a-source.md, followed: its source keeps the contract and is in the registry."""

import os
import re
import sys
import textwrap
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import blocks.sources
import tradewind.model.requests
from blocks.sources import SOURCES, block_of
from tests.contract.data_source import DataSourceContract, SourceCase
from tests.fakes.images import make_raw
from tradewind.model.options import ProviderOptions
from tradewind.model.requests import SourceKind

MiB = 1 << 20
TEXT = (Path(blocks.sources.__file__).parents[1] / "docs/howto/add-a-source.md").read_text()
PACKAGE = "tradewind.sources.raw_folder"


class MoreKinds(StrEnum):
    """SourceKind with the member that the page adds."""

    LIBVIRT = SourceKind.LIBVIRT.value
    IMAGES = SourceKind.IMAGES.value
    RAW_FOLDER = "raw folder"


def program(with_words: str) -> str:
    """Find the one Python program of the page that has certain words in it."""
    found = re.findall(r"^( *)```python\n(.*?)^\1```$", TEXT, re.MULTILINE | re.DOTALL)
    (text,) = [textwrap.dedent(body) for _, body in found if with_words in body]
    return text


def module(name: str, text: str) -> ModuleType:
    made = ModuleType(name)
    sys.modules[name] = made
    exec(compile(text, name, "exec"), made.__dict__)  # noqa: S102 - it is our own page
    return made


@pytest.fixture(scope="module")
def block() -> Iterator[Any]:
    """The page's block, registered as it says."""
    added = {}
    try:
        added[PACKAGE] = module(PACKAGE, "")
        added[f"{PACKAGE}.source"] = module(f"{PACKAGE}.source", program("class RawFolderSource"))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(tradewind.model.requests, "SourceKind", MoreKinds)
            made = module("blocks.raw_folder", program("class RawFolder(SourceBlock)")).RawFolder
            patch.setattr(blocks.sources, "SOURCES", (*SOURCES, made))
            yield made
    finally:
        for name in (*added, "blocks.raw_folder"):
            sys.modules.pop(name, None)


class TestRawFolderSource(DataSourceContract):
    @pytest.fixture
    def case(self, tmp_path: Path, block: Any) -> SourceCase:
        (tmp_path / "web").mkdir()
        root = make_raw(tmp_path / "web" / "vda.raw", 5 * MiB, {MiB: os.urandom(MiB)})
        data = make_raw(tmp_path / "web" / "vdb.raw", 3 * MiB, {0: os.urandom(700)})
        source = block(folder=str(tmp_path)).open_source(ProviderOptions())
        return SourceCase(source, "web", [root, data])


def test_the_registry_finds_its_block(block: Any) -> None:
    assert block_of(block.kind) is block
    assert not block.is_host


def test_each_kind_that_a_request_may_name_has_a_block() -> None:
    assert [block_of(kind).kind for kind in SourceKind] == list(SourceKind)
