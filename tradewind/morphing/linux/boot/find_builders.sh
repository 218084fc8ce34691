# SPDX-License-Identifier: Apache-2.0
# In a guest: print the programs that build initial RAM disks, and which of its switches dracut has.
for program in mkinitramfs dracut mkinitcpio mkinitrd; do
    command -v $program >/dev/null && echo $program
done
dracut --help 2>/dev/null | grep -oE -e '--(compress|no-hostonly-cmdline)( |$)' | sort -u
exit 0
