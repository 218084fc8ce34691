# SPDX-License-Identifier: Apache-2.0
"""The KVM host over libvirt (home of libvirt-python)."""
