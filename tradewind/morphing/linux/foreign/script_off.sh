# SPDX-License-Identifier: Apache-2.0
# In a guest: switch an init script off.
#
#   sh script_off.sh STATUS NAME      STATUS: what it ends with when the script is off already
#
# An init script's unit is made at boot: masking its name keeps that from happening. Where there is
# no systemd, the distribution's own program takes the script out of the runlevels.
off_already=$1; shift
if command -v systemctl >/dev/null; then exec systemctl mask "$1.service"; fi
for link in /etc/rc[2-5].d/S??"$1" /etc/rc.d/rc[2-5].d/S??"$1" none; do
    if [ -e "$link" ]; then break; fi
done
if [ "$link" = none ]; then exit "$off_already"; fi
if command -v chkconfig >/dev/null; then exec chkconfig "$1" off; fi
exec update-rc.d "$1" disable
