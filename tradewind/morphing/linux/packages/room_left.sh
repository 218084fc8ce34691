# SPDX-License-Identifier: Apache-2.0
# In a guest: print the available KiB in each folder, in order; the first is made.
#
#   sh room_left.sh FOLDER…
mkdir -p "$1" && for folder; do df -Pk "$folder" | awk 'NR == 2 { print $4 }'; done
