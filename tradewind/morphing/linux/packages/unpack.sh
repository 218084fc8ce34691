# SPDX-License-Identifier: Apache-2.0
# In a guest: take the file .pack apart, in which others lie one after the other.
#
#   sh unpack.sh FOLDER (NAME SIZE)...
set -e
cd "$1"; shift
from=1
while [ $# -gt 0 ]; do
    tail -c "+$from" .pack | head -c "$2" >"$1"
    from=$((from + $2))
    shift 2
done
rm -f .pack
