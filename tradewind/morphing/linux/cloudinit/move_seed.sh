# SPDX-License-Identifier: Apache-2.0
# Move a seed of cloud-init, unless a first one was kept. The worker's disk has room; a seed is a few
# small files.
#
#   sh move_seed.sh FOLDER COPY
set -e
[ -e "$2" ] || { mkdir -p "$(dirname "$2")"; cp -a "$1" "$2"; }
rm -rf "$1"
