# SPDX-License-Identifier: Apache-2.0
"""Disk images that may come from anybody: `door.open_image` is the only way in.

`description` reads the TOML file beside them, `opening` opens files, `formats` tells them apart, a
module for each format (`qcow2`) reads what it says, `door` puts a chain together, `qemu` has QEMU's
tools open exactly that chain, and `confinement` is what those tools run in.
"""
