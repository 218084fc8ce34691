# SPDX-License-Identifier: Apache-2.0
# In a guest: print "image path", tab between, for each file that changed since an image was built.
#
#   sh images_outdated.sh BACKUP LINKS "PATH…" IMAGE…
#
# A copy in the folder BACKUP was made when a step changed the file: `-cnewer` compares that time.
# NICs that udev renamed in the image keep that name before systemd 240, whatever .link files say
# later; 231 and newer tell their number by a file. Our own .link files begin with LINKS.
# shellcheck disable=SC2012 # what ls lists are files of ours and of systemd, a word each
backup=$1 our_links=$2 carried=$3; shift 3
tab=$(printf '\t')
links=$(ls "$our_links"*.link 2>/dev/null)
systemd=$(ls /lib/systemd /usr/lib/systemd /usr/lib64/systemd /usr/lib/*/systemd 2>/dev/null |
    sed -n 's!^libsystemd-shared-\([0-9]*\).*!\1!p' | sort -n | tail -n 1)
for image; do
    for path in $carried; do
        find "$backup$path" -type f -cnewer "$image" 2>/dev/null | head -n 100 |
            sed "s!^$backup!$image$tab!"
    done
    # shellcheck disable=SC2086 # the same
    [ "${systemd:-0}" -ge 240 ] || [ -z "$links" ] ||
        find $links -cnewer "$image" | sed "s!^!$image$tab!"
done
