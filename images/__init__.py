# SPDX-License-Identifier: Apache-2.0
"""Disk images for the lab: recipes, and a builder that keeps what it built in a cache."""

from images.builder import build
from images.cache import BuiltImage
from images.host_tree import build_host
from images.mirror import build_mirror
from images.together import build_for_lab

__all__ = ["BuiltImage", "build", "build_for_lab", "build_host", "build_mirror"]
