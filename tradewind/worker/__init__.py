# SPDX-License-Identifier: Apache-2.0
"""The temporary VM on the destination host: seed ISO, keys, lifecycle."""
