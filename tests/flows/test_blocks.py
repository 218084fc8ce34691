# SPDX-License-Identifier: Apache-2.0
"""Blocks through a real server and back."""

import runpy
from pathlib import Path

import pytest
from prefect.client.orchestration import get_client

import blocks
from blocks import DiskImageFolder, LibvirtEndpoint, ProviderOptionsBlock
from blocks.loading import load_block
from tests.unit.blocks.test_blocks import ENDPOINT, KEY_BASE64
from tradewind.errors import NotFoundError, OptionError


def test_endpoint_comes_back_with_its_key() -> None:
    endpoint = LibvirtEndpoint(**ENDPOINT)
    endpoint.save("kvm1")
    assert load_block(LibvirtEndpoint, "kvm1").access() == endpoint.access()


def test_key_is_masked_for_whoever_lists_blocks() -> None:
    LibvirtEndpoint(**ENDPOINT).save("kvm2")
    with get_client(sync_client=True) as client:
        document = client.read_block_document_by_name("kvm2", "tradewind-libvirt-endpoint")
        masked = client.read_block_document_by_name(
            "kvm2", "tradewind-libvirt-endpoint", include_secrets=False
        )
    assert document.data["private_key_base64"] == KEY_BASE64
    assert KEY_BASE64[:16] not in str(masked.data)


def test_options_come_back_as_they_were() -> None:
    options = ProviderOptionsBlock.model_validate(
        {"migr_image_map": "linux:deb.qcow2,windows:win.qcow2", "cpu_features": "x2apic"}
    )
    options.save("fast")
    assert load_block(ProviderOptionsBlock, "fast").options() == options.options()


def test_options_as_the_form_stores_them() -> None:
    """The form knows only the schema, so what it stores is checked when it is loaded."""
    ProviderOptionsBlock().save("typed")
    with get_client(sync_client=True) as client:
        document = client.read_block_document_by_name("typed", "tradewind-provider-options")
        form = {"migr_image_map": "linux:deb.qcow2", "default_storage_pool": "fast"}
        _store(document.id, {**document.data, **form})
        loaded = load_block(ProviderOptionsBlock, "typed").options()
        assert loaded.migr_image_map == {"linux": "deb.qcow2"}
        _store(
            document.id, {**document.data, "windows_virtio_iso_url": "https://example.com/a.iso"}
        )
    with pytest.raises(OptionError, match="option windows_virtio_iso_url"):
        load_block(ProviderOptionsBlock, "typed")


def test_block_of_another_version_says_what_is_wrong_with_it() -> None:
    DiskImageFolder(folder="/srv/exports").save("aged")
    with get_client(sync_client=True) as client:
        document = client.read_block_document_by_name("aged", "tradewind-disk-images")
        _store(document.id, {"folder": ["not", "a", "path"]})
    with pytest.raises(OptionError, match="block “aged” is not valid: folder: Input should be"):
        load_block(DiskImageFolder, "aged")


def _store(document_id: object, values: dict[str, object]) -> None:
    with get_client(sync_client=True) as client:
        client._client.patch(
            f"/block_documents/{document_id}",
            json={"data": values, "merge_existing_data": False},
        ).raise_for_status()


def test_folder_comes_back() -> None:
    DiskImageFolder(folder="/srv/exports").save("exports")
    assert load_block(DiskImageFolder, "exports").path == Path("/srv/exports")


def test_unknown_block_names_the_ones_there_are() -> None:
    LibvirtEndpoint(**ENDPOINT).save("kvm3")
    with pytest.raises(NotFoundError, match="“kvm9”") as caught:
        load_block(LibvirtEndpoint, "kvm9")
    assert "kvm3" in caught.value.hint


def test_all_types_are_registered(capsys: pytest.CaptureFixture[str]) -> None:
    # In this process: another one would not know of the session's server.
    runpy.run_module("blocks", run_name="__main__")
    said = capsys.readouterr().out.splitlines()
    assert said == [f"registered {block.get_block_type_slug()}" for block in blocks.ALL]
    with get_client(sync_client=True) as client:
        for block in blocks.ALL:
            there = client.read_block_type_by_slug(block.get_block_type_slug())
            assert there.description == block.get_description()
