# SPDX-License-Identifier: Apache-2.0
"""Read what tells an operating system from each file system; change nothing.

Every file system is mounted read-only, without replaying its journal, and none of its symbolic
links is followed out of it. What is read of each is bounded.
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from tradewind.model.guest import FileSystem
from tradewind.ports import Remote

MAX_FACT: Final = 64 * 1024
# Subvolumes of one btrfs that are looked at; a snapshot tool keeps hundreds.
_MOST_SUBVOLUMES: Final = 32

# For each file system prints lines "number/subvolume fact base64". `pwd -P` says where a folder
# really is, and a file that is a link itself is not read.
_READ: Final = f"""
newline='
'
root=$(mktemp -d /run/tradewind-inspect.XXXXXX)
trap 'umount "$root" 2>/dev/null; rmdir "$root"' EXIT
tell() {{ printf '%s/%s %s ' "$number" "$sub" "$1"; head -c {MAX_FACT} | base64 -w 0; echo; }}
inside() {{
    folder=$(cd "$top/$1" 2>/dev/null && pwd -P) || return 1
    case "$folder/" in "$top"/*) ;; *) return 1 ;; esac
}}
plain() {{
    case $1 in */*) inside "${{1%/*}}" ;; *) inside . ;; esac &&
        [ -f "$folder/${{1##*/}}" ] && [ ! -L "$folder/${{1##*/}}" ]
}}
file() {{ plain "$1" && tell "$2" <"$folder/${{1##*/}}"; }}
# Only what is there is told: each fact costs two processes.
told() {{ [ -z "$2" ] || printf '%s\n' "$2" | tell "$1"; }}
# Lines "bytes name"; a link's own size.
entries() {{
    inside "$1" && find "$folder" -mindepth 1 -maxdepth 1 -printf '%s %f\n' | tell "$2"
}}
# Boot loader specification: MACHINE-ID/VERSION/linux.
entry_kernels() {{
    inside "$1" || return 1
    list=
    for id in "$folder"/????????????????????????????????; do
        for image in "$id"/*/linux; do
            [ ! -f "$image" ] || list="$list${{image#"$folder"/}}$newline"
        done
    done
    told "$2" "$list"
}}
modules() {{
    inside "$1" || return 1
    list=
    for version in "$folder"/*; do
        [ -d "$version" ] && [ ! -L "$version" ] || continue
        image=no; [ ! -f "$version/vmlinuz" ] || image=vmlinuz
        list="$list$image ${{version##*/}}$newline"
    done
    told "$2" "$list"
}}
# Only the first page counts, and the first eight files.
hibernated_swap_files() {{
    plain etc/fstab || return 1
    list=
    left=8
    while read -r spec _ type _; do
        case "$type:$spec" in swap:/dev/*) continue ;; swap:/*) ;; *) continue ;; esac
        [ $left -gt 0 ] || break
        left=$((left - 1))
        plain "${{spec#/}}" && head -c 4096 "$folder/${{spec##*/}}" | tail -c 10 |
            LC_ALL=C tr '\\355\\303\\002\\351' 'XXXX' |
            grep -aqE 'S[12]SUSPEND|ULSUSPEND|LINHIB|XXXX' && list="$list$spec$newline"
    done <"$folder/fstab"
    told hibernated "$list"
}}
facts() {{
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
    hibernated_swap_files
    stat -f -c '%S %f %d %c' "$top" | tell space
}}
subvolumes() {{
    default=$(btrfs subvolume get-default "$root" 2>/dev/null)
    default=${{default#ID }}
    default=${{default%% *}}
    {{ echo "ID 5 . . . . . . "; btrfs subvolume list "$root" 2>/dev/null | head -n 20000; }} |
        while IFS= read -r line; do
            id=${{line#ID }}; id=${{id%% *}}
            path=${{line#* path }}
            [ "$id" != 5 ] || path=.
            [ "$id" = "$default" ] || case "$path/" in
                *.snapshots/*|timeshift-btrfs/*) continue ;;
            esac
            folder=$root/$path
            [ -e "$folder/etc/os-release" ] || [ -L "$folder/etc/os-release" ] ||
                [ -e "$folder/usr/lib/os-release" ] || [ -e "$folder/lib/os-release" ] ||
                [ "$id" = "$default" ] || [ "$id" = 5 ] || continue
            echo "$id $path"
        done | head -n {_MOST_SUBVOLUMES}
}}
number=0
while [ $# -gt 0 ]; do
    case $1 in
        ext2) options=ro ;;
        ext*) options=ro,noload ;;
        xfs) options=ro,norecovery,nouuid ;;
        btrfs) options=ro,rescue=nologreplay,subvolid=5 ;;
        *) options=ro ;;
    esac
    sub=
    top=$root
    if said=$(mount -t "$1" -o "$options,nodev,nosuid,noexec" "$2" "$root" 2>&1); then
        if [ "$1" = btrfs ]; then
            found=$(subvolumes)
            default=$(btrfs subvolume get-default "$root" 2>/dev/null)
            echo "$default" | tell default
            told errors "$(btrfs device stats "$root" 2>/dev/null | grep -v ' 0$')"
            while IFS= read -r line; do
                sub=${{line%% *}}
                path=${{line#* }}
                [ "$path" = . ] && top=$root || {{
                    top=$(cd "$root/$path" 2>/dev/null && pwd -P) || continue
                    printf %s "$path" | tell subvolume
                }}
                facts
            done <<SUBVOLUMES
$found
SUBVOLUMES
        else
            facts
        fi
        sub=
        umount "$root"
    else
        echo "$said" | tell unreadable
    fi
    case $1 in
        ext*) dumpe2fs -h "$2" 2>/dev/null |
            grep -E '^(Filesystem (features|state)|FS Error count):' | tell super ;;
        xfs) told log "$(xfs_logprint -t "$2" 2>/dev/null | grep -o '<DIRTY>')" ;;
    esac
    number=$((number + 1))
    shift 2
done
"""


@dataclass(slots=True)
class Tree:
    """What was read from one file system, or from one subvolume of a btrfs (`subvolid`).

    `facts` are texts of at most 64 KiB.
    """

    filesystem: FileSystem
    subvolid: str = ""
    facts: dict[str, str] = field(default_factory=dict)

    def lines(self, fact: str) -> tuple[str, ...]:
        """Split a fact into its lines; none when there is no such fact."""
        return tuple(self.facts.get(fact, "").splitlines())

    @property
    def subvolume(self) -> str:
        """The path of the subvolume from the top of its file system."""
        return self.facts.get("subvolume", "")


def read(remote: Remote, filesystems: Sequence[FileSystem]) -> tuple[Tree, ...]:
    """Look at each of these file systems, in their order."""
    arguments = [word for f in filesystems for word in (f.fstype, f.device)]
    answer = remote.run(["sh", "-c", _READ, "sh", *arguments], timeout=300, check=True)
    trees: dict[str, Tree] = {}
    for line in answer.stdout.splitlines():
        where, fact, content = line.split(" ")
        number, _, subvolid = where.partition("/")
        tree = trees.setdefault(where, Tree(filesystems[int(number)], subvolid))
        tree.facts[fact] = base64.b64decode(content).decode(errors="replace")
    return tuple(trees.values())
