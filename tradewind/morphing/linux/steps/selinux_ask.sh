# SPDX-License-Identifier: Apache-2.0
# In a guest: ask setfiles for the labels of what was changed since the guest was mounted.
#
#   sh selinux_ask.sh FILE_CONTEXTS FOLDER…
#
# The file policy-rc.d was placed when it was mounted. Of folders, only those without a label:
# setfiles takes all that is in a folder with it. Status 3: it cannot be done here. The worker's
# kernel stores labels without knowing them, unless it uses SELinux itself; but only for who may
# administer the system, which no program of a guest may.
since=/usr/sbin/policy-rc.d spec=$1; shift
command -v setfiles >/dev/null && [ -f "$since" ] && [ -f "$spec" ] || exit 3
list=/run/tradewind-relabel
# shellcheck disable=SC2016 # a program for another shell
unlabelled='[ "$(stat -c %C "$1" 2>/dev/null)" = "?" ]'
for top; do
    find "$top" -xdev \
        \( -path /proc -o -path /sys -o -path /dev -o -path /run \) -prune -o \
        -cnewer "$since" ! -path "$since" \
        \( ! -type d -o -exec sh -c "$unlabelled" sh {} \; \) -print0
done >$list
[ ! -s $list ] || setfiles -n -F -v -0 -f $list "$spec" 2>/dev/null || exit 3
rm -f $list
