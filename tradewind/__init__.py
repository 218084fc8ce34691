# SPDX-License-Identifier: Apache-2.0
"""Tradewind's library: knows how machines move onto KVM hosts; does not know Prefect."""
