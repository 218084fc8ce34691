# SPDX-License-Identifier: Apache-2.0
# In a host's own namespaces: give it its name and its folders, and sleep, so that they stay.
#
#   sh hold_namespaces.sh NAME ROOT (SOURCE TARGET)...
#
# ROOT is the folder of another system than this machine's, which becomes the root, or /.
set -e
hostname "$1"; root=${2%/}; shift 2
if [ -n "$root" ]; then
    mount --bind "$root" "$root"
    for folder in dev proc sys; do mount --rbind "/$folder" "$root/$folder"; done
fi
while [ $# -gt 0 ]; do
    mount --bind "$1" "$root$2"
    shift 2
done
mount -t tmpfs -o size=64m,mode=0711 tiny "$root/var/lib/libvirt/tiny"
if [ -n "$root" ]; then
    # The tree is shared by all that are made from it.
    mount -o remount,bind,ro "$root"
    cd "$root"
    pivot_root . .
    umount -l .
    cd /
fi
# Leave the pid, and let go of the pipe to say that everything is mounted.
echo $$ >/run/anchor.pid
# shellcheck disable=SC2217 # it holds nothing of whoever began it
exec sleep infinity </dev/null >/dev/null 2>&1
