# SPDX-License-Identifier: Apache-2.0
"""What is written as NAME=VALUE on the command line."""

from collections.abc import Sequence

from tradewind.errors import OptionError
from tradewind.model.hardware import Hardware
from tradewind.model.mac import read_mac
from tradewind.model.network import NetworkMap
from tradewind.model.quotes import unquoted
from tradewind.model.requests import SourceKind


def network_map(mappings: list[str]) -> NetworkMap:
    """Read SOURCE=DESTINATION and MAC=DESTINATION pairs; one without “=” is the default for all."""
    pairs = [_split(mapping) for mapping in mappings if not _is_default(mapping)]
    default = [mapping for mapping in mappings if _is_default(mapping)]
    if len(default) > 1:
        raise OptionError(
            f"--network: {' and '.join(default)} cannot both be the default",
            "say which source network each is for: SOURCE=DESTINATION",
        )
    return NetworkMap.model_validate(
        {
            "nics": {name: plug for name, plug in pairs if read_mac(name)},
            "networks": {name: plug for name, plug in pairs if not read_mac(name)},
            "default": default[0] if default else None,
        }
    )


def _is_default(mapping: str) -> bool:
    # The "=" of ?vlan=42 belongs to the destination.
    return "=" not in mapping.partition("?")[0]


def hardware(assignments: list[str]) -> Hardware:
    """Read NAME=VALUE pairs, with the names and values of the flow's parameter."""
    return Hardware.model_validate(pairs_of(assignments))


def pairs_of(assignments: Sequence[str]) -> dict[str, str]:
    """Read NAME=VALUE pairs."""
    return dict(_split(assignment) for assignment in assignments)


def _split(assignment: str) -> tuple[str, str]:
    key, equals, value = assignment.partition("=")
    if not equals:
        raise OptionError(f"“{assignment}” is not option=value", "write it as option=value")
    return key.strip(), unquoted(value.strip())


def source_kind(*, images: bool, otherwise: SourceKind = SourceKind.LIBVIRT) -> SourceKind:
    """Read --images."""
    return SourceKind.IMAGES if images else otherwise
