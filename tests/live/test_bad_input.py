# SPDX-License-Identifier: Apache-2.0
"""Bad input is refused with a sentence and a remedy, before anything is made on a host."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import site
from lab.records import Lab
from tests.live import hosts
from tests.live.tradewind_command import Tradewind
from tradewind.errors import TradewindError
from tradewind.model.requests import TransferRequest

pytestmark = pytest.mark.live

OTHER_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHkyTi3mSQlgFYoUcIcNzkxJ0qTUwW7J7Fh0dJr3mVZt"


@pytest.fixture(scope="module")
def small(the_lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> str:
    image = tmp_path_factory.mktemp("images") / "tidy.qcow2"
    hosts.make_qcow2(image, data_mib=80, size="2G")
    hosts.define_shut_off(the_lab.source, "tidy", image)
    return "tidy"


@pytest.fixture
def untouched(the_lab: Lab) -> Iterator[None]:
    before = [hosts.traces(host) for host in (the_lab.source, the_lab.destination)]
    yield
    assert [hosts.traces(host) for host in (the_lab.source, the_lab.destination)] == before


def refused(tradewind: Tradewind, *words: str) -> str:
    ended = tradewind.run(*words)
    assert ended.status in (1, 2), ended.stderr[-2000:]
    return " ".join(ended.stderr.split())


@pytest.mark.usefixtures("untouched")
def test_unknown_machine(tradewind: Tradewind, small: str) -> None:
    said = refused(tradewind, *tradewind.transfer_words("nobody"))
    assert "no machine “nobody” on source" in said
    assert small in said


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize(
    ("option", "sentence"),
    [
        ({"default_storage_pool": "nowhere"}, "no storage pool “nowhere” on destination"),
        ({"migr_worker_network": "nowhere"}, "no libvirt network “nowhere” on destination"),
        ({"migr_image_map": "linux:nothing.qcow2"}, "no worker image “nothing.qcow2”"),
        ({"default_storage_pool": "tiny"}, "storage pool “tiny” on destination has"),
    ],
)
def test_options_that_do_not_fit_the_host(
    small: str, option: dict[str, str], sentence: str
) -> None:
    from blocks import ProviderOptionsBlock  # noqa: PLC0415 - Prefect reads its settings at import
    from flows.transfer import transfer  # noqa: PLC0415 - as above

    ProviderOptionsBlock(**{**site.options(), **option}).save("odd", overwrite=True)
    names = {"machine": small, "source": site.SOURCE, "destination": site.DESTINATION}
    with pytest.raises(TradewindError, match=sentence):
        transfer(TransferRequest.model_validate({**names, "options": "odd"}))


def test_an_option_with_a_typo(tradewind: Tradewind) -> None:
    said = refused(tradewind, "options", "set", "--name", "odd", "defualt_storage_pool=default")
    assert "unknown option “defualt_storage_pool”" in said
    assert "did you mean default_storage_pool?" in said


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"--host": "198.18.0.99"}, "198.18.0.99:22"),
        ({"--host-key": OTHER_KEY}, "is not the pinned one"),
        ({"--host-key": ""}, "no host key is pinned"),
        ({"--username": "stranger"}, "stranger@"),
    ],
)
def test_endpoints_that_cannot_be_used(
    tradewind: Tradewind, the_lab: Lab, change: dict[str, str], sentence: str
) -> None:
    host = the_lab.destination
    words = {
        "--host": host.address,
        "--username": host.username,
        "--key": str(host.key_path),
        "--host-key": host.host_key,
        **change,
    }
    said = refused(
        tradewind, "endpoint", "add", "odd", *(word for pair in words.items() for word in pair)
    )
    assert sentence in said


def test_a_key_that_is_none(tradewind: Tradewind, the_lab: Lab, tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("tell nobody")
    words = ["--host", the_lab.destination.address, "--username", "u", "--key", str(key)]
    said = refused(tradewind, "endpoint", "add", "odd", *words)
    assert "is not a private key" in said
    assert "tell nobody" not in said


@pytest.mark.usefixtures("untouched")
def test_an_image_of_an_unknown_format(tradewind: Tradewind, tmp_path: Path) -> None:
    (tmp_path / "strange.img").write_bytes(b"nobody knows this format" * 1000)
    (tmp_path / "strange.toml").write_text(
        'name = "strange"\nvcpus = 1\nmemory = 512\n[[disks]]\nfile = "strange.img"\n'
    )
    tradewind.run("images", "add", "odd", str(tmp_path))
    said = refused(tradewind, *tradewind.transfer_words("strange", "--images", source="odd"))
    assert "strange.img" in said
