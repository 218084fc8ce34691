#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Start scratch_guard.sh in the background, in a session of its own: it outlives this connection.
# Exit status 1: there is no virsh for it.
#
# Usage: scratch_guard_start.sh PROGRAM ARGUMENT…

command -v virsh >/dev/null || exit 1
setsid sh "$@" </dev/null >/dev/null 2>&1 &
