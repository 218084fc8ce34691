#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Give a snapshot up before its scratch files fill their file system: a guest's own writes fail then.
# The controller watches too, and acts first. This runs on the source host, so that it also does its
# work when the controller was killed or the network is gone. It ends when the run's folder is removed.
#
# Usage: scratch_guard.sh URI DOMAIN FOLDER (DIRECTORY RESERVE)…   the reserves in bytes

uri=$1 domain=$2 run_folder=$3
shift 3
# In the path of the socket, and in those of the scratch files where there is no socket.
mark=tradewind-${run_folder##*tradewind-}

is_ours() {
    virsh -c "$uri" backup-dumpxml "$domain" 2>/dev/null | grep -qF "$mark"
}

free_bytes() {
    # "available blocks" and "block size", as the account that QEMU is not root of sees them
    stat -f -c '%a %S' "$1" 2>/dev/null | {
        read -r blocks size && echo $((blocks * size))
    }
}

is_nearly_full() {
    while [ $# -ge 2 ]; do
        free=$(free_bytes "$1")
        if [ -n "$free" ] && [ "$free" -le "$2" ]; then
            full=$1
            return 0
        fi
        shift 2
    done
    return 1
}

while sleep 1 && [ -d "$run_folder" ]; do
    if is_nearly_full "$@" && is_ours; then
        virsh -c "$uri" domjobabort "$domain" >/dev/null 2>&1 &&
            printf '%s\n%s\n' "$full" "$free" >"$run_folder/given-up"
    fi
done
