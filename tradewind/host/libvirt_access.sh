# SPDX-License-Identifier: Apache-2.0
# What an account finds of libvirt on a host, a line for each thing.
# Arguments: the sockets that a client may come by.
set -eu
for helper in virt-ssh-helper nc; do
    if command -v "$helper" >/dev/null 2>&1; then
        echo "helper $helper"
    fi
done
for socket in "$@"; do
    if [ -w "$socket" ]; then
        echo "open $socket"
    elif [ -S "$socket" ]; then
        echo "closed $socket"
    fi
done
echo "looked"
