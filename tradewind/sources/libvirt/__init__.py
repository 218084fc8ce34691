# SPDX-License-Identifier: Apache-2.0
"""Machines of a libvirt host."""
