# SPDX-License-Identifier: Apache-2.0
"""The provider options as a block: the fields of tradewind.model.options, in Prefect's form."""

from prefect.blocks.core import Block
from pydantic import ConfigDict

from tradewind.model.options import OptionFields, ProviderOptions


class ProviderOptionsBlock(OptionFields, Block):
    """Options of the libvirt provider: pools, worker, CPU, console, guest adaption."""

    _block_type_name = "Tradewind Provider Options"
    _block_type_slug = "tradewind-provider-options"

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    def options(self) -> ProviderOptions:
        """Turn the block into the record that the library knows."""
        names = set(OptionFields.model_fields)
        return ProviderOptions.model_validate(self.model_dump(include=names))
