# SPDX-License-Identifier: Apache-2.0
"""Which Prefect server the commands talk to. Without one Prefect starts its own for the moment."""

import os
from typing import Final
from urllib.parse import urlsplit

from tradewind.errors import OptionError

_NAME: Final = "PREFECT_API_URL"
_USUAL: Final = "http://127.0.0.1:4200/api"


def require_server_named() -> None:
    """Raise OptionError when no server is named, or its URL has no path of the API.

    What Prefect stores on a server of its own is gone with the command: the next one would find
    nothing, and say so.
    """
    url = os.environ.get(_NAME) or _of_profile()
    if not url:
        raise OptionError(
            f"{_NAME} is not set: no Prefect server is named",
            f"export {_NAME}={_USUAL}, or where your server is; a server is started with:"
            " prefect server start",
        )
    path = urlsplit(url).path
    if "api" not in path.split("/"):
        whole = f"{url.rstrip('/')}/api"
        raise OptionError(
            f"{_NAME} does not lead to an API: its path is “{path or '/'}”",
            f"export {_NAME}={whole}" if "@" not in url else f"add /api to {_NAME}",
        )


def _of_profile() -> str:
    from prefect.settings import get_current_settings  # noqa: PLC0415 - it takes seconds

    return get_current_settings().api.url or ""
