# SPDX-License-Identifier: Apache-2.0
"""Which keys are tried on a container."""

import base64

from tradewind.model.guest_keys import GuestKey, GuestKeys

ANY, OWN = GuestKey.of(b"for any"), GuestKey.of(b"its own", "ABCD-1234")
KEYS = GuestKeys(secrets=(ANY, OWN), origin="vault")


def test_a_containers_own_key_is_the_only_one_tried_on_it() -> None:
    assert KEYS.for_container("abcd-1234") == (OWN,)
    assert KEYS.for_container("ABCD-1234") == (OWN,)


def test_other_containers_get_the_keys_for_any() -> None:
    assert KEYS.for_container("ffff-0000") == (ANY,)
    assert KEYS.for_container("") == (ANY,)


def test_without_keys_none_is_tried() -> None:
    assert GuestKeys().for_container("abcd-1234") == ()


def test_a_key_may_be_any_bytes_and_is_not_shown() -> None:
    key = GuestKey.of(b"\x00\xff\n ")
    assert base64.b64decode(key.secret.get_secret_value()) == b"\x00\xff\n "
    assert key.secret.get_secret_value() not in repr(key) + str(key) + key.model_dump_json()
