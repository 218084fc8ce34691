# SPDX-License-Identifier: Apache-2.0
"""What the value of a provider option may look like, as text of a file or as a typed value."""

import ipaddress
import re
from enum import StrEnum
from typing import Annotated, Any, Final
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainSerializer,
    StringConstraints,
    WithJsonSchema,
)

_IMAGE: Final = re.compile(r"\s*(?P<os>[A-Za-z0-9._-]+)\s*:\s*(?P<volume>\S.*?)\s*")


class DataTransferMechanism(StrEnum):
    """How the bytes of a disk reach the worker."""

    HTTPS = "https"
    SSH = "ssh"


def none_when_empty(value: Any) -> Any:
    """Take an empty line of a form for no value."""
    return None if isinstance(value, str) and not value.strip() else value


def split_list(value: Any) -> Any:
    """Split a line at its commas; what is no text stays as it is."""
    if not isinstance(value, str):
        return value
    return tuple(item.strip() for item in value.split(",") if item.strip())


def _read_images(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    images: dict[str, str] = {}
    for entry in filter(str.strip, value.split(",")):
        match = _IMAGE.fullmatch(entry)
        if match is None:
            raise ValueError(f"“{entry.strip()}” is not of the form os:volume")
        if match["os"] in images:
            raise ValueError(f"“{match['os']}” is named twice")
        images[match["os"]] = match["volume"]
    return images


def _write_images(images: dict[str, str]) -> str:
    return ",".join(f"{os}:{volume}" for os, volume in images.items())


def _ip_address(value: str) -> str:
    return str(ipaddress.ip_address(value))


def _web_address(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("should be an http or https URL")
    return value


Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
OptionalText = Annotated[Text | None, BeforeValidator(none_when_empty)]
AbsolutePath = Annotated[Text, Field(pattern=r"^/")]
IpAddress = Annotated[Text, AfterValidator(_ip_address)]
WebAddress = Annotated[Text, AfterValidator(_web_address)]
FeatureName = Annotated[Text, Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")]
FeatureNames = Annotated[tuple[FeatureName, ...], BeforeValidator(split_list)]
Gigabytes = Annotated[int, Field(ge=1, le=65_536)]
Megabytes = Annotated[int, Field(ge=256, le=16_777_216)]
VcpuCount = Annotated[int, Field(ge=1, le=512)]

# In forms and files it is one line of text, "linux:worker.qcow2,windows:worker-win.qcow2".
ImageMap = Annotated[
    dict[Text, Text],
    BeforeValidator(_read_images),
    PlainSerializer(_write_images, return_type=str),
    WithJsonSchema({"type": "string"}),
]
