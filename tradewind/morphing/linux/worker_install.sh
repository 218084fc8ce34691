# SPDX-License-Identifier: Apache-2.0
# Install packages in the worker from its own repositories. Ends with the package manager's status.
#
#   sh worker_install.sh apt-get|dnf|zypper PACKAGE…
#
# Nothing that is installed may start: a guest's arrays and volumes are none of the worker's until it
# is told so. The last line that is printed says what went wrong.
manager=$1; shift
export DEBIAN_FRONTEND=noninteractive
exec 2>&1
case $manager in
    apt-get)
        policy=/usr/sbin/policy-rc.d
        [ -e "$policy" ] || { printf '#!/bin/sh\nexit 101\n' >"$policy"; chmod 755 "$policy"; }
        # A worker is not started again: its own initial RAM disk would take most of the time.
        [ ! -d /etc/initramfs-tools ] ||
            echo update_initramfs=no >/etc/initramfs-tools/update-initramfs.conf
        set -- -o Acquire::Retries=0 -o Acquire::http::Timeout=20 -o Acquire::https::Timeout=20 \
            -o DPkg::Lock::Timeout=60 -qq -y --no-install-recommends install "$@"
        apt-get -o Acquire::Retries=0 -o Acquire::http::Timeout=20 -o Acquire::https::Timeout=20 \
            -qq update
        exec apt-get "$@" ;;
    dnf) exec dnf -q -y --setopt=timeout=20 --setopt=retries=1 --setopt=install_weak_deps=False install "$@" ;;
    zypper) exec zypper --non-interactive --quiet install --no-recommends "$@" ;;
esac
