# SPDX-License-Identifier: Apache-2.0
# In a worker: take packets to some TCP ports from nobody but who is logged in here, then run a command.
#
#     sh close_ports.sh PORT[,PORT…] COMMAND…
#
# Prints one line, and then what the command prints:
#
#     closed: 198.18.0.1            everybody else's packets are dropped
#     open: why                     they are not; certificates and keys are what guards the ports
#
# No connection tracking: its modules cost an emulated worker a second, and there is no other port.

ports=$1
shift

close() {
    # sshd sets it: address and port of the client, address and port here (ssh(1), ENVIRONMENT).
    controller=${SSH_CONNECTION:-}
    controller=${controller%% *}
    controller=${controller%%%*}
    case $controller in
        '') echo "open: nobody is logged in over SSH" ; return ;;
        *[!0-9a-fA-F.:]*) echo "open: the address of who is logged in makes no sense" ; return ;;
        *:*) family=ip6 ;;
        *) family=ip ;;
    esac
    if ! command -v nft >/dev/null; then
        echo "open: the worker image has no nft (package nftables)"
        return
    fi
    # A repeated step finds the table of the one before; all of it is applied at once or not at all.
    if said=$(nft -f - 2>&1 <<RULES
add table inet tradewind
delete table inet tradewind
table inet tradewind {
    chain input {
        type filter hook input priority 0; policy accept;
        tcp dport { $ports } $family saddr $controller accept
        tcp dport { $ports } drop
    }
}
RULES
    ); then
        echo "closed: $controller"
    else
        echo "open: nft: $(printf %s "$said" | head -n 1)"
    fi
}

close
exec "$@"
