# SPDX-License-Identifier: Apache-2.0
"""Steps of a move: approval, outage, the way back."""
