# SPDX-License-Identifier: Apache-2.0
# In a guest: take away what packages left that were not installed to their end.
#
#   sh rpm_sweep.sh MARK FOLDER…
#
# rpm enters a package only after its files are there: when it is killed in between, they belong to
# nobody. MARK is a file as old as the attempt; the rest are folders of package files.
mark=$1; shift
find "$@" -name '*.rpm' -cnewer "$mark" 2>/dev/null | while IFS= read -r package; do
    rpm -qlp --nosignature "$package" 2>/dev/null | while IFS= read -r path; do
        for each in "$path" "$path;"*; do
            [ -f "$each" ] || [ -L "$each" ] || continue
            [ -n "$(find "$each" -maxdepth 0 -cnewer "$mark")" ] || continue
            rpm -qf "$each" >/dev/null 2>&1 || rm -f "$each"
        done
    done
    case $package in /run/*) ;; *) rm -f "$package" ;; esac
done
