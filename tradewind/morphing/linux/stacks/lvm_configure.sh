# SPDX-License-Identifier: Apache-2.0
# A function that gives LVM a configuration of its own. The variable `system_ids` says whose groups
# may be used beside those of this machine.
#
#   configure DEVICE…     only these exist for LVM
set -f
export LVM_SYSTEM_DIR=/run/tradewind-lvm
# shellcheck disable=SC2174 # /run is there
mkdir -p -m 700 "$LVM_SYSTEM_DIR"
configure() {
    filter=
    for device; do filter="$filter\"a|^$(readlink -f "$device")\$|\", "; done
    cat >"$LVM_SYSTEM_DIR/lvm.conf" <<CONFIGURATION
devices {
    filter = [ $filter"r|.*|" ]
    global_filter = [ $filter"r|.*|" ]
    use_devicesfile = 0
    scan_lvs = 1
    multipath_component_detection = 0
}
backup {
    backup = 0
    archive = 0
}
global {
    use_lvmpolld = 0
    use_lvmlockd = 0
}
activation {
    monitoring = 0
}
CONFIGURATION
    # shellcheck disable=SC2154 # whoever calls this sets it
    echo "local { extra_system_ids = [ $system_ids ] }" >"$LVM_SYSTEM_DIR/lvmlocal.conf"
}
