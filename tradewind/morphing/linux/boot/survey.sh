# SPDX-License-Identifier: Apache-2.0
# In a guest: look at its kernels, or at these versions. Prints "version kind value", tab between.
#
#   sh members.sh+survey.sh DRIVERS PROGRAMS yes|no LIMIT VERSION…
#
# DRIVERS and PROGRAMS are patterns of grep -E; without "yes" no image is opened. LIMIT: what a
# decompressed image may have at most. Images: Debian, Red Hat, SUSE, kernel-install(8), Arch.
# shellcheck disable=SC2231 # a version has no character that means anything to a shell, see below
drivers=$1 programs=$2 images=$3 limit=$4; shift 4
tab=$(printf '\t')
tell() { sed "s!^!$version$tab$1$tab!"; }
names() { sed 's!.*/!!; s!-!_!g; s!\.ko.*!!' | sort -u; }
ours() { [ -z "$chosen" ] || case " $chosen " in *" $1 "*) ;; *) return 1 ;; esac; }
chosen="$*"
for folder in /lib/modules/*; do
    version=${folder##*/}
    case $version in -* | *[!A-Za-z0-9._+~-]*) continue ;; esac
    [ -e "$folder/modules.dep" ] || [ -e "$folder/modules.builtin" ] || continue
    ours "$version" || continue
    base=$(head -c 100 "$folder/pkgbase" 2>/dev/null | head -n 1)
    case $base in *[!A-Za-z0-9._+~-]*) base= ;; esac
    for path in /boot/vmlinu[xz]-$version /boot/*mage-$version ${base:+/boot/vmlinuz-$base} \
        /boot/*/$version/linux* /efi/*/$version/linux* /boot/efi/*/$version/linux* \
        /boot/EFI/Linux/*$version*.efi /efi/EFI/Linux/*$version*.efi \
        /boot/efi/EFI/Linux/*$version*.efi; do
        [ ! -f "$path" ] || echo "$path" | tell kernel
    done
    grep -Es "/($drivers)\.ko" "$folder/modules.builtin" | names | tell built-in
    [ -e "$folder/modules.builtin" ] || grep -Es '^CONFIG_[A-Z0-9_]+=y' "/boot/config-$version" |
        sed 's!CONFIG_!!; s!=y!!' | tr '[:upper:]' '[:lower:]' | grep -Ex "$drivers" | tell built-in
    find "$folder/" -name '*.ko*' | grep -E "/($drivers)\.ko" | names | tell module
    for path in /boot/initrd.img-$version /boot/initramfs-$version.img /boot/initrd-$version \
        /boot/initrd-$version.img ${base:+/boot/initramfs-$base.img} \
        /boot/*/$version/initr* /efi/*/$version/initr* /boot/efi/*/$version/initr* \
        /boot/EFI/Linux/*$version*.efi /efi/EFI/Linux/*$version*.efi \
        /boot/efi/EFI/Linux/*$version*.efi; do
        case $path in *kdump* | *.tradewind-*) continue ;; esac
        [ "$images" = yes ] && [ -f "$path" ] || continue
        echo "$path" | tell image
        case $path in *.efi)
            # The longest command line of x86 (COMMAND_LINE_SIZE); more is no command line.
            { section "$path" .cmdline | head -c 2048 | tr '\0\n\t' '   '; echo; } |
                sed 's! *$!!' | tell "command $path"
            signature "$path" | tell "signed $path" ;;
        esac
        compression "$path" | tell "compression $path"
        members "$path" "$limit" >/run/tradewind-members
        grep -E "/($drivers)\.ko" /run/tradewind-members | names | tell "holds $path"
        grep -E "(^|/)($programs)\$" /run/tradewind-members | names | tell "holds $path"
        grep '^parameters: ' /run/tradewind-members | tell parameters
        rm -f /run/tradewind-members
    done
done
