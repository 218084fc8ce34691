# SPDX-License-Identifier: Apache-2.0
"""Register all block types: `python -m blocks`."""

from blocks import ALL

for block in ALL:
    block.register_type_and_schema()
    print(f"registered {block.get_block_type_slug()}")
