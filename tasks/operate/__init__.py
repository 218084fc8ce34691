# SPDX-License-Identifier: Apache-2.0
"""Steps that keep the house: sweep, lag, pages, events, worker images."""
