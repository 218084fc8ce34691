# SPDX-License-Identifier: Apache-2.0
"""Tags of 802.1Q: taken off and put on."""

from lab import vlan

ADDRESSES = bytes(range(12))
PLAIN = ADDRESSES + b"\x08\x00" + b"payload"
TAGGED = ADDRESSES + b"\x81\x00\x00\x1e" + b"\x08\x00" + b"payload"


def test_a_tag_is_put_on_and_taken_off() -> None:
    assert vlan.tagged(PLAIN, 30) == TAGGED
    assert vlan.untagged(TAGGED, 30) == PLAIN


def test_the_priority_of_a_frame_does_not_hide_its_number() -> None:
    urgent = ADDRESSES + b"\x81\x00\xe0\x1e" + PLAIN[12:]
    assert vlan.untagged(urgent, 30) == PLAIN


def test_other_frames_are_left_alone() -> None:
    assert vlan.untagged(TAGGED, 31) is None
    assert vlan.untagged(PLAIN, 30) is None
    assert vlan.untagged(b"short", 30) is None
