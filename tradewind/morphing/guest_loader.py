# SPDX-License-Identifier: Apache-2.0
"""Start `guest_runner.py` in a worker from its compiled form.

    python3 -I -S -c TEXT PLACE ROOT REACH PROGRAM …
    python3 -I -S -c TEXT PLACE <SOURCES

The second compiles what comes in: under emulation that takes half as long as a whole command. PLACE
is a file that only root may write; without it the status is 99, and the words are those below.
"""

import marshal
import os
import sys

NOT_PLACED = 99
WORDS = "tradewind: not placed"


def start(place: str) -> None:
    """Run what was placed."""
    try:
        with open(place, "rb") as file:
            codes = marshal.load(file)
    except OSError:
        sys.stderr.write(WORDS)
        sys.exit(NOT_PLACED)
    exec(codes[0], {"__name__": "__main__", "CODES": codes})


def place_in(place: str) -> None:
    """Compile what comes in, and place it in one move."""
    os.umask(0o077)
    os.makedirs(os.path.dirname(place), exist_ok=True)
    texts = sys.stdin.buffer.read().split(b"\0")
    with open(place + ".new", "wb") as file:
        marshal.dump([compile(text, "tradewind", "exec") for text in texts], file)
    os.replace(place + ".new", place)


if __name__ == "__main__":
    (start if len(sys.argv) > 2 else place_in)(sys.argv[1])
