# SPDX-License-Identifier: Apache-2.0
# Copy a file, unless its first version was kept; print the file's mode.
#
#   sh keep.sh FILE COPY
set -eu
[ -e "$2" ] || [ -L "$2" ] || { mkdir -p "$(dirname "$2")"; cp -a "$1" "$2"; }
stat -L -c %a "$1"
