# SPDX-License-Identifier: Apache-2.0
"""Pictures of screens become PNG files that a report can show."""

import io

import pytest
from PIL import Image

from tests.fakes.libvirt_fakes import FakeConnection
from tradewind.errors import HypervisorError
from tradewind.host.boot import screenshot
from tradewind.host.domain import domains

DOMAIN = (
    '<domain type="test"><name>web01</name><memory>1024</memory><os><type>hvm</type></os></domain>'
)


def ppm(width: int, height: int) -> bytes:
    """Write what QEMU sends: red above, blue below."""
    half = height // 2
    pixels = b"\xff\x00\x00" * width * half + b"\x00\x00\xff" * width * (height - half)
    return f"P6\n{width} {height}\n255\n".encode() + pixels


def test_a_screen_becomes_png(host: FakeConnection) -> None:
    domains.start_transient(host, DOMAIN)
    host.host.screens["web01"] = ppm(72, 40)
    png = screenshot.take(host, domains.require_domain(host, "web01"))
    with Image.open(io.BytesIO(png)) as image:
        assert (image.format, image.size) == ("PNG", (72, 40))
        assert image.getpixel((3, 3)) == (255, 0, 0)
        assert image.getpixel((3, 39)) == (0, 0, 255)
    assert host.host.calls[-1] == "finish stream"


def test_a_large_screen_is_made_smaller() -> None:
    with Image.open(io.BytesIO(screenshot.as_png(ppm(2560, 1440)))) as image:
        assert image.size == (1024, 576)


@pytest.mark.parametrize("picture", [b"", b"GIF89a", ppm(72, 40)[:500], b"P6\n9 9\n255\n"])
def test_what_is_no_picture_is_refused(picture: bytes) -> None:
    with pytest.raises(HypervisorError, match="cannot be read"):
        screenshot.as_png(picture)


def test_endless_picture_is_given_up(host: FakeConnection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(screenshot, "LARGEST", 5000)
    domains.start_transient(host, DOMAIN)
    host.host.screens["web01"] = bytes(100_000)
    with pytest.raises(HypervisorError, match="too large"):
        screenshot.take(host, domains.require_domain(host, "web01"))
    assert host.host.calls[-1] == "abort stream"
