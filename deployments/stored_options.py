# SPDX-License-Identifier: Apache-2.0
"""Provider options as Prefect keeps them, read without Prefect's client where that does."""

from typing import Final
from urllib.parse import quote

from pydantic import ValidationError

from deployments.prefect_api import Api, PrefectApi
from tradewind.model.options import ProviderOptions

# As blocks/provider_options.py calls its type, which takes seconds to import.
_SLUG: Final = "tradewind-provider-options"


def stored_options(name: str, api: Api | None = None) -> ProviderOptions:
    """Read a block of options; NotFoundError or OptionError as `load_block` says it."""
    place = f"/block_types/slug/{_SLUG}/block_documents/name/{quote(name, safe='')}"
    found = (api or PrefectApi()).ask("GET", place) if name else None
    try:
        if found is not None:
            return ProviderOptions.model_validate(found["data"])
    except ValidationError:
        pass  # said by load_block
    return _loaded(name)


def _loaded(name: str) -> ProviderOptions:
    from blocks.loading import load_block  # noqa: PLC0415
    from blocks.provider_options import ProviderOptionsBlock  # noqa: PLC0415

    return load_block(ProviderOptionsBlock, name).options()
