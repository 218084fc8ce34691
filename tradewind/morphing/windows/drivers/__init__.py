# SPDX-License-Identifier: Apache-2.0
"""Driver packages: INF files, what they install, and the folders of a virtio-win ISO."""
