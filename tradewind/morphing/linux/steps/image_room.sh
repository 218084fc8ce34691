# SPDX-License-Identifier: Apache-2.0
# In a guest: print the bytes that are free where an image is, and its size.
#
#   sh image_room.sh IMAGE
set -- "$1" "$(dirname "$1")"
df -Pk "$2" | tail -n 1 | { read -r _ _ _ free _; echo $((free * 1024)); }
stat -L -c %s "$1" 2>/dev/null || echo 0
