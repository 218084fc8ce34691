# SPDX-License-Identifier: Apache-2.0
"""Steps of a transfer, and what it lends: slots, a worker, volumes, streams."""
