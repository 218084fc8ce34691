# SPDX-License-Identifier: Apache-2.0
# Put a file there in one move: a reader sees the old file or the whole new one.
#
#   sh write.sh PATH MODE <CONTENT
t=$(mktemp "$1.XXXXXX") && {
    # shellcheck disable=SC2015 # whichever of them fails, the rest is taken away
    cat >"$t" && chmod "$2" "$t" && mv -fT "$t" "$1" || { rm -f "$t"; exit 1; }
}
