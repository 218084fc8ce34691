# SPDX-License-Identifier: Apache-2.0
"""Steps that look at everything and change nothing."""
