# SPDX-License-Identifier: Apache-2.0
"""Disk images for the lab: recipes, and a builder that keeps what it built in a cache."""

from images.builder import build
from images.cache import BuiltImage
from images.mirror import build_mirror

__all__ = ["BuiltImage", "build", "build_mirror"]
