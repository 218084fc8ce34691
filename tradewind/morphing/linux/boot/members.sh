# SPDX-License-Identifier: Apache-2.0
# Functions about an initial RAM disk; they run in the guest.
#
#   members FILE LIMIT    names of all files in it, from the archives' headers ("070701", 13 numbers
#                         of 8 digits, the name), and the parameters that dracut keeps in it. The
#                         guest's own program is asked where that finds nothing: lsinitrd took 14.3 s
#                         for an image that is read here in 2.5 s. LIMIT: bytes that are decompressed
#   compression FILE      the program that made it
#   section FILE NAME     a section of a unified kernel image (UAPI group, specification 5): .initrd
#                         or .cmdline. It is a PE file: at 60 is where the header is; rows of 40
#                         bytes have name, size and place of a section
#   signature FILE        the size of its signature, if it has one: the fifth of the directories that
#                         end the optional header of a 64-bit image (PE32+, 0x20b)
#
# An image is one cpio archive or several in a row: first, perhaps, uncompressed ones with microcode,
# then the compressed one. Format: Linux, Documentation/driver-api/early-userspace/buffer-format.
payload() {
    at=1
    while [ "$(tail -c +$at "$1" | head -c 5 | tr -d '\0')" = 07070 ]; do
        end=$(tail -c +$at "$1" | grep -abo 'TRAILER!!!' | head -n 1)
        at=$((at + ${end%%:*} + 10))
        zeros=$(tail -c +$at "$1" | head -c 65536 | od -An -v -tx1 -w1 | grep -nvm1 ' 00')
        [ -n "$zeros" ] || return 1
        at=$((at + ${zeros%%:*} - 1))
    done
}
compression() {
    payload "$1" || { echo cat; return; }
    case $(tail -c +$at "$1" | head -c 6 | od -An -tx1 | tr -d ' ') in
        1f8b*) echo gzip ;;
        28b52ffd*) echo zstd ;;
        fd377a58*) echo xz ;;
        04224d18* | 02214c18*) echo lz4 ;;
        425a68*) echo bzip2 ;;
        5d0000*) echo lzma ;;
        *) echo cat ;;
    esac
}
headers() {
    tr '\0' '\n' |
        grep -aoE '07070[12][0-9A-Fa-f]{104}[^[:cntrl:]]+|^ *(rd\.|resume=)[^[:cntrl:]]+' |
        sed -E 's!^07070[12][0-9A-Fa-f]{104}!!; s!^ *(rd\.|resume=)!parameters: \1!'
}
unpacked() {
    how=$(compression "$1")
    payload "$1" || return
    case $how in
        lzma) tail -c +$at "$1" | xz --format=lzma -dc ;;
        cat) ;;
        *) tail -c +$at "$1" | $how -dc ;;
    esac 2>/dev/null | head -c "$2"
}
section() {
    pe=$(od -An -v -tu4 -j 60 -N 4 "$1" | tr -d ' ')
    left=$(od -An -v -tu2 -j $((pe + 6)) -N 2 "$1" | tr -d ' ')
    row=$(od -An -v -tu2 -j $((pe + 20)) -N 2 "$1" | tr -d ' ')
    row=$((pe + 24 + row))
    while [ "$left" -gt 0 ] && [ "$left" -lt 97 ]; do
        if [ "$(tail -c +$((row + 1)) "$1" | head -c 8 | tr -d '\0')" = "$2" ]; then
            # shellcheck disable=SC2046 # four numbers
            set -- "$1" $(od -An -v -tu4 -j $((row + 8)) -N 16 "$1")
            tail -c +$(($5 + 1)) "$1" | head -c "$2"
            return
        fi
        row=$((row + 40)) left=$((left - 1))
    done
}
signature() {
    pe=$(od -An -v -tu4 -j 60 -N 4 "$1" | tr -d ' ')
    kind=$(od -An -v -tx2 -j $((pe + 24)) -N 2 "$1" | tr -d ' ')
    [ "$kind" = 020b ] || return 0
    od -An -v -tu4 -j $((pe + 172)) -N 4 "$1" | tr -d ' ' | grep -vx 0
}
members() {
    case $1 in *.efi) section "$1" .initrd >/run/tradewind-section; set -- /run/tradewind-section "$2" ;; esac
    { headers <"$1"; unpacked "$1" "$2" | headers; } >/run/tradewind-listing
    if grep -q '/modules' /run/tradewind-listing; then
        cat /run/tradewind-listing
    else
        lsinitramfs "$1" 2>/dev/null || lsinitrd "$1" 2>/dev/null
    fi
    rm -f /run/tradewind-listing /run/tradewind-section
}
