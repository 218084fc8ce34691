# SPDX-License-Identifier: Apache-2.0
# Runs in the worker's file tree when all packages are installed.

for program in lvm mdadm cryptsetup; do
    if command -v "$program" >/dev/null; then
        echo "the stock image is to lack $program" >&2
        exit 1
    fi
done
rm -f /etc/ssh/ssh_host_* /etc/network/interfaces
# systemd-resolved's link leads to /run, which is not there while the image is built.
rm -f /etc/resolv.conf
touch /etc/resolv.conf
# The lab's mirror, and nothing outside.
printf 'deb [trusted=yes] http://198.18.0.1:8000/debian ./\n' >/etc/apt/sources.list
rm -rf /var/lib/apt/lists/* /var/cache/apt/archives/*.deb
