# SPDX-License-Identifier: Apache-2.0
# Read what tells an operating system from each file system; change nothing on any of them.
#
#   sh facts.sh MAX_FACT MOST_SUBVOLUMES MOST_KERNELS (FSTYPE DEVICE)...
#
# For each file system prints lines "number/subvolume fact base64". `pwd -P` says where a folder
# really is, and a file that is a link itself is not read.
max_fact=$1 most_subvolumes=$2 most_kernels=$3
shift 3
newline='
'
work=$(mktemp -d /run/tradewind-inspect.XXXXXX)
root=$work/root said=$work/said snapshot=${work##*/}
store='' loop='' guarded=''
mkdir "$root"
trap 'hide 2>/dev/null; rm -r "$work"' EXIT
tell() { printf '%s/%s %s ' "$number" "$sub" "$1"; head -c $((max_fact + 1)) | base64 -w 0; echo; }
inside() {
    folder=$(cd "$top/$1" 2>/dev/null && pwd -P) || return 1
    case "$folder/" in "$top"/*) ;; *) return 1 ;; esac
}
plain() {
    case $1 in */*) inside "${1%/*}" ;; *) inside . ;; esac &&
        [ -f "$folder/${1##*/}" ] && [ ! -L "$folder/${1##*/}" ]
}
file() { plain "$1" && tell "$2" <"$folder/${1##*/}"; }
# What is there but is no regular file is named, and not opened: a FIFO would never end.
odd() {
    list=
    for path; do
        # shellcheck disable=SC2015 # either sends it to the next one
        inside "${path%/*}" && ! plain "$path" || continue
        [ ! -e "$folder/${path##*/}" ] && [ ! -L "$folder/${path##*/}" ] ||
            list="$list/$path$newline"
    done
    told odd "$list"
}
# Only what is there is told: each fact costs two processes.
told() { [ -z "$2" ] || printf '%s\n' "$2" | tell "$1"; }
# Lines "bytes name"; a link's own size. No name is taken for two.
entries() {
    inside "$1" && find "$folder" -mindepth 1 -maxdepth 1 -printf '%s %f\0' |
        tr '\n\0' '?\n' | tell "$2"
}
# Boot loader specification: MACHINE-ID/VERSION/linux.
entry_kernels() {
    inside "$1" || return 1
    told "$2" "$(find "$folder" -mindepth 3 -maxdepth 3 -type f -name linux \
        -path "$folder/????????????????????????????????/*" -printf '%P\0' |
        tr '\n\0' '?\n' | head -n "$most_kernels" | sort)"
}
modules() {
    inside "$1" || return 1
    told "$2" "$(find "$folder" -mindepth 1 -maxdepth 1 -type d -print0 |
        tr '\n\0' '?\n' | head -n "$most_kernels" | sort | while IFS= read -r version; do
            image=no; [ ! -f "$version/vmlinuz" ] || image=vmlinuz
            echo "$image ${version##*/}"
        done)"
}
# Only the first page counts, and the first eight files.
hibernated_swap_files() {
    plain etc/fstab || return 1
    left=8
    list=$(head -c "$max_fact" "$folder/fstab" | tr '\0' '?' | while read -r spec _ type _; do
        case "$type:$spec" in swap:/dev/*) continue ;; swap:/*) ;; *) continue ;; esac
        [ $left -gt 0 ] || break
        left=$((left - 1))
        # shellcheck disable=SC2020 # four bytes that stand for themselves become X
        plain "${spec#/}" && head -c 4096 "$folder/${spec##*/}" | tail -c 10 |
            LC_ALL=C tr '\355\303\002\351' 'XXXX' |
            grep -aqE 'S[12]SUSPEND|ULSUSPEND|LINHIB|XXXX' && echo "$spec"
    done)
    told hibernated "$list"
}
facts() {
    file etc/os-release os-release || file usr/lib/os-release os-release
    file lib/os-release usr-os-release
    file etc/fstab fstab
    file etc/crypttab crypttab
    file etc/mdadm/mdadm.conf arrays || file etc/mdadm.conf arrays
    modules lib/modules modules || modules usr/lib/modules modules
    entries boot boot
    entry_kernels boot boot-entries
    entries . top
    entry_kernels . top-entries
    odd etc/fstab etc/crypttab
    hibernated_swap_files
    stat -f -c '%S %f %d %c' "$top" | tell space
}
subvolumes() {
    default=$(btrfs subvolume get-default "$root" 2>/dev/null)
    default=${default#ID }
    default=${default%% *}
    { echo "ID 5 . . . . . . "; btrfs subvolume list "$root" 2>/dev/null | head -n 20000; } |
        while IFS= read -r line; do
            id=${line#ID }; id=${id%% *}
            path=${line#* path }
            [ "$id" != 5 ] || path=.
            [ "$id" = "$default" ] || case "$path/" in
                *.snapshots/*|timeshift-btrfs/*) continue ;;
            esac
            folder=$root/$path
            [ -e "$folder/etc/os-release" ] || [ -L "$folder/etc/os-release" ] ||
                [ -e "$folder/usr/lib/os-release" ] || [ -e "$folder/lib/os-release" ] ||
                [ "$id" = "$default" ] || [ "$id" = 5 ] || continue
            echo "$id $path"
        done | head -n "$most_subvolumes"
}

# --- how a file system is shown: as its guest would find it, and never written to ---------------

# The copy of a machine that ran has its latest metadata in the journal only. What lies in their
# places does not fit together: a folder may name an inode that is still free there. ext4 takes
# that for damage, and records it in the superblock even when it is mounted read-only
# (ext4_handle_error in the kernel's fs/ext4/super.c). So the journal is replayed, in a snapshot
# whose changes go into a file of the worker and are forgotten after the look.
replay() {
    store=$(mktemp /var/tmp/tradewind-inspect.XXXXXX) &&
        truncate -s 3G "$store" &&
        loop=$(losetup --find --show "$store") &&
        sectors=$(blockdev --getsz "$1") &&
        echo "0 $sectors snapshot $1 $loop N 8" | dmsetup create "$snapshot" &&
        shown=/dev/mapper/$snapshot
}
forget() {
    [ ! -e "/dev/mapper/$snapshot" ] || dmsetup remove --retry "$snapshot"
    [ -z "$loop" ] || losetup --detach "$loop"
    [ -z "$store" ] || rm -f "$store"
    store='' loop=''
}
# Where no snapshot can be made, the device itself refuses every write meanwhile.
guard() {
    [ "$(blockdev --getro "$1")" = 0 ] || return 0
    blockdev --setro "$1" && guarded=$1
}
superblock() { dumpe2fs -h "$1" 2>/dev/null | grep "^Filesystem $2:"; }
in_use() {
    case $1 in
        ext*) superblock "$2" features | grep -qw needs_recovery ;;
        xfs) xfs_logprint -t "$2" 2>/dev/null | grep -q '<DIRTY>' ;;
        *) false ;;
    esac
}
put() { mount -t "$1" -o "$2,nodev,nosuid,noexec" "$3" "$root" 2>"$said"; }
show() {
    same=
    [ "$1" != xfs ] || same=,nouuid
    if in_use "$1" "$2"; then
        told in-use yes
        replay "$2" 2>"$said" && put "$1" "ro$same" "$shown" && return
        tell unreplayed <"$said"
        forget
    fi
    shown=$2
    case $1 in
        ext2) put "$1" ro "$2" ;;
        ext*) guard "$2" && put "$1" ro,noload "$2" ;;
        xfs) guard "$2" && put "$1" "ro,norecovery$same" "$2" ;;
        btrfs) put "$1" ro,rescue=nologreplay,subvolid=5 "$2" ;;
        *) put "$1" ro "$2" ;;
    esac
}
hide() {
    ! mountpoint -q "$root" || umount "$root"
    forget
    [ -z "$guarded" ] || blockdev --setrw "$guarded"
    guarded=''
}

# --- the look -----------------------------------------------------------------------------------

each_subvolume() {
    default=$(btrfs subvolume get-default "$root" 2>/dev/null)
    told default "$default"
    told errors "$(btrfs device stats "$root" 2>/dev/null | grep -v ' 0$')"
    found=$(subvolumes)
    while IFS= read -r line; do
        sub=${line%% *}
        path=${line#* }
        # shellcheck disable=SC2015 # an assignment does not fail
        [ "$path" = . ] && top=$root || {
            top=$(cd "$root/$path" 2>/dev/null && pwd -P) || continue
            printf %s "$path" | tell subvolume
        }
        facts
    done <<SUBVOLUMES
$found
SUBVOLUMES
    sub=
}

number=0
while [ $# -gt 0 ]; do
    sub='' top=$root
    features=
    case $1 in
        ext*) features=$(superblock "$2" features) ;;
        btrfs) told member "$(blkid -p -o value -s UUID_SUB "$2" 2>/dev/null)" ;;
    esac
    if show "$1" "$2"; then
        # The state is that after the replay: an error that the guest met may be in the journal.
        case $1 in ext*) told super "$features$newline$(superblock "$shown" state)" ;; esac
        case $1 in btrfs) each_subvolume ;; *) facts ;; esac
    else
        tell unreadable <"$said"
    fi
    hide
    number=$((number + 1))
    shift 2
done
