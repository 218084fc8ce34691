# SPDX-License-Identifier: Apache-2.0
# Print which of these programs the worker lacks, and which file systems its kernel cannot read.
#
#   sh worker_tools.sh PROGRAM… -- FILESYSTEM…
#
# One a line: "program NAME", "kernel NAME". A module is only looked for: mounting loads it.
while [ "$1" != -- ]; do
    command -v "$1" >/dev/null || echo "program $1"
    shift
done
shift
for name; do
    grep -qw "$name" /proc/filesystems || modprobe --dry-run --quiet "$name" || echo "kernel $name"
done
exit 0
