# SPDX-License-Identifier: Apache-2.0
# Copy loaders into the folder BOOT, and compare the copies.
#
#   sh efi_copy.sh FOLDER (FILE NAME)...
set -eu
cd "$1"; shift
mkdir -p BOOT
while [ $# -gt 0 ]; do
    cp "$1" "BOOT/$2.new"
    cmp "$1" "BOOT/$2.new"
    mv "BOOT/$2.new" "BOOT/$2"
    shift 2
done
sync
