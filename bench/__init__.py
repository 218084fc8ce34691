# SPDX-License-Identifier: Apache-2.0
"""Our mover, nbdcopy and qemu-img convert: the same data, the same links, in the same minutes."""
