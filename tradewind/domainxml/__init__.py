# SPDX-License-Identifier: Apache-2.0
"""Records to libvirt XML and back; pure (home of lxml)."""
