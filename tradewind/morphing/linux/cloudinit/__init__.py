# SPDX-License-Identifier: Apache-2.0
"""cloud-init in a machine that was moved: what it is told, and what the old platform left."""
