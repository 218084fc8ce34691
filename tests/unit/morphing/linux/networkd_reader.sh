# Let systemd-networkd configure NICs in a network of their own, and print the file it takes for each.
# $1: a folder like /etc/systemd/network; the rest: name=address.
set -eu
files=$1
shift
mount -t sysfs -o ro sysfs /sys
mount -t tmpfs tmpfs /run
mount --bind "$files" /etc/systemd/network
mkdir -p /run/systemd/netif/links /run/systemd/netif/leases /run/systemd/netif/lldp
chmod -R 777 /run/systemd/netif
for nic in "$@"; do
    # The other end has a name and an address that no test asks for.
    ip link add "${nic%%=*}" address "${nic#*=}" type veth peer name "zz${nic%%=*}"
done
/lib/systemd/systemd-networkd >/run/log 2>&1 &
for nic in "$@"; do
    state=/run/systemd/netif/links/$(cat "/sys/class/net/${nic%%=*}/ifindex")
    n=0
    until grep -q '^ADMIN_STATE=\(configuring\|configured\|unmanaged\|failed\)' "$state" 2>/dev/null; do
        n=$((n + 1))
        [ "$n" -lt 100 ] || { cat /run/log >&2; exit 1; }
        sleep 0.1
    done
    echo "${nic%%=*} $(sed -n 's|^NETWORK_FILE=.*/||p' "$state")"
done
kill %1
