# SPDX-License-Identifier: Apache-2.0
# Print each file of the vendors' folders with a zero byte after it. The firmware tells no case.
#
#   sh efi_list.sh FOLDER
cd "$1" 2>/dev/null || exit 0
for path in */*; do [ ! -f "$path" ] || [ ! -s "$path" ] || printf '%s\0' "$path"; done
