# SPDX-License-Identifier: Apache-2.0
"""Key pairs for one worker."""

import base64

from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_ssh_private_key,
)

from tradewind.worker.keys import new_key_pair


def test_both_halves_belong_together() -> None:
    pair = new_key_pair()
    private = load_ssh_private_key(pair.private.encode(), password=None)
    public = private.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    assert pair.public == public.decode()
    kind, content = pair.public.split()
    assert kind == "ssh-ed25519"
    assert base64.b64decode(content)


def test_no_two_are_equal() -> None:
    assert new_key_pair().public != new_key_pair().public


def test_private_half_is_not_shown() -> None:
    pair = new_key_pair()
    assert pair.private.splitlines()[2] not in repr(pair)
    assert pair.public in repr(pair)
