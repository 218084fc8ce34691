# Let udev judge NICs in a network of their own, and print what each would be called.
# $1: a folder like /etc/systemd/network, $2: one like /etc/udev/rules.d; the rest: name=address.
set -eu
links=$1
rules=$2
shift 2
mount -t sysfs sysfs /sys
mount -t tmpfs tmpfs /run
mkdir -p /run/udev
mount --bind "$links" /etc/systemd/network
mount --bind "$rules" /etc/udev/rules.d
for nic in "$@"; do
    ip link add "${nic%%=*}" address "${nic#*=}" type veth peer name "zz${nic%%=*}"
done
for nic in "$@"; do
    index=$(cat "/sys/class/net/${nic%%=*}/ifindex")
    udevadm test --action=add "/sys/class/net/${nic%%=*}" >/run/log 2>&1 || { cat /run/log >&2; exit 1; }
    echo "${nic#*=} $(ip -o link show | sed -n "s/^$index: \([^@:]*\).*/\1/p")"
done
