# SPDX-License-Identifier: Apache-2.0
"""Adapt a guest's operating system to its new host: inspect, mount, plan, steps."""
