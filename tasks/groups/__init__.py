# SPDX-License-Identifier: Apache-2.0
"""Steps for many machines at once."""
