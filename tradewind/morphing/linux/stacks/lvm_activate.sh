# SPDX-License-Identifier: Apache-2.0
# Activate volume groups. Prints what could not be activated, a line "--", and the volumes as JSON.
#
#   sh lvm_configure.sh+lvm_activate.sh GROUPS SYSTEM_IDS PREFIX… -- DEVICE…
#
# GROUPS says which (lvmreport(7), SELECTION), SYSTEM_IDS is a list for LVM's configuration. A PREFIX is
# what the mappings of a group have in front: those of the worker that have it, too, step aside.
# shellcheck disable=SC2034 # `configure` reads it
groups=$1 system_ids=$2; shift 2
number=0
while [ "$1" != -- ]; do
    dmsetup info -c --noheadings -o name 2>/dev/null | while IFS= read -r name; do
        case $name in "$1"*)
            until dmsetup rename "$name" "worker-$number" >/dev/null 2>&1; do
                number=$((number + 1))
                [ $number -lt 1000 ] || break
            done ;;
        esac
    done
    shift
done
shift
configure "$@"
# shellcheck disable=SC2069 # what it complains of is read, what it reports is not
lvm vgchange --activate y --select "$groups" 2>&1 >/dev/null
udevadm settle --timeout=30
echo --
lvm lvs --select "$groups" --reportformat json \
    -o vg_uuid,vg_name,lv_uuid,lv_name,origin,lv_kernel_major,lv_kernel_minor 2>/dev/null
