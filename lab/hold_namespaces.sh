# SPDX-License-Identifier: Apache-2.0
# In a host's own namespaces: give it its name and its folders, and sleep, so that they stay.
#
#   sh hold_namespaces.sh NAME (SOURCE TARGET)...
set -e
hostname "$1"; shift
while [ $# -gt 0 ]; do
    mount --bind "$1" "$2"
    shift 2
done
mount -t tmpfs -o size=64m,mode=0711 tiny /var/lib/libvirt/tiny
# Leave the pid, and let go of the pipe to say that everything is mounted.
echo $$ >/run/anchor.pid
# shellcheck disable=SC2217 # it holds nothing of whoever began it
exec sleep infinity </dev/null >/dev/null 2>&1
