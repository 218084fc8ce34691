# SPDX-License-Identifier: Apache-2.0
"""Read a keyfile from standard input with NetworkManager's own library, and print what it means.

Runs with the system's Python, which has the bindings; prints JSON.
"""

import json
import sys
from typing import Any

import gi  # type: ignore[import-not-found]

gi.require_version("NM", "1.0")
from gi.repository import NM, GLib  # type: ignore[import-not-found]  # noqa: E402

FOLDER = "/etc/NetworkManager/system-connections"


def family(setting: Any) -> dict[str, Any]:
    count = setting.get_num_addresses()
    return {
        "method": setting.get_method(),
        "addresses": [setting.get_address(n).get_address() for n in range(count)],
        "gateway": setting.get_gateway() or "",
        "routes": setting.get_num_routes(),
        "rules": setting.get_num_routing_rules(),
        "table": setting.get_route_table(),
    }


def main() -> None:
    text = sys.stdin.read()
    keyfile = GLib.KeyFile()
    keyfile.load_from_data(text, len(text.encode()), GLib.KeyFileFlags.NONE)
    profile = NM.keyfile_read(keyfile, FOLDER, NM.KeyfileHandlerFlags.NONE, None, None)
    profile.normalize(None)
    profile.verify()
    told = {
        "interface": profile.get_interface_name() or "",
        "type": profile.get_connection_type(),
        "ipv4": family(profile.get_setting_ip4_config()),
        "ipv6": family(profile.get_setting_ip6_config()),
    }
    print(json.dumps(told))


main()
