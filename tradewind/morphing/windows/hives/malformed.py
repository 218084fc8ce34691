# SPDX-License-Identifier: Apache-2.0
"""What is said of a hive or a log that cannot be believed."""


class MalformedHiveError(Exception):
    """A clause that goes on after the hive's name; `replay.py` makes an error for people of it."""
