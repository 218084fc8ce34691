# SPDX-License-Identifier: Apache-2.0
# In a guest: print systemd's state, the units that failed, and those that it still waits for.
#
#   sh systemd_state.sh STATUS        STATUS: what it ends with where systemd does not run
#
# is-system-running(1) is polled rather than waited for (`--wait` is from systemd 240 on), so that a
# job that never ends is named.
[ -d /run/systemd/system ] || exit "$1"
LC_ALL=C; export LC_ALL
echo "state $(systemctl is-system-running 2>/dev/null)"
systemctl list-units --failed --plain --no-legend --no-pager --full 2>/dev/null |
    while read -r unit _; do echo "failed $unit"; done
systemctl list-jobs --no-legend --no-pager --full 2>/dev/null |
    while read -r number unit _ state; do echo "job $number $unit $state"; done
