# SPDX-License-Identifier: Apache-2.0
# In a guest: print the kinds of devices (lsblk's TYPE) that these stand on.
#
#   sh stack.sh DEVICE…
for device; do lsblk -nslo TYPE "$device" 2>/dev/null; done | sort -u
