# SPDX-License-Identifier: Apache-2.0
"""Steps that turn a replica into a machine: plan, adapt, start, prove."""
