# SPDX-License-Identifier: Apache-2.0
# Print the volume groups on these devices as JSON, then the UUID and name of every mapping.
#
#   sh lvm_configure.sh+lvm_groups.sh DEVICE…
# shellcheck disable=SC2034 # `configure` reads it
system_ids=
configure "$@"
lvm vgs --foreign --reportformat json \
    -o vg_uuid,vg_name,vg_systemid,vg_missing_pv_count,vg_exported 2>/dev/null
dmsetup info -c --noheadings --separator ' ' -o uuid,name 2>/dev/null
exit 0
