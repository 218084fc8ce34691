# SPDX-License-Identifier: Apache-2.0
# In a guest: run a command of apt without man-db. That would index every manual page once more; it
# does so by itself every day (cron, timer).
#
#   sh apt_install.sh COMMAND…
switch=/var/lib/man-db/auto-update
[ -e $switch ] && mv $switch $switch.tradewind-saved
"$@"
status=$?
[ -e $switch.tradewind-saved ] && mv $switch.tradewind-saved $switch
exit $status
