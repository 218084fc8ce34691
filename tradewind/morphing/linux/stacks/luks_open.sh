# SPDX-License-Identifier: Apache-2.0
# Open LUKS containers. Prints for each "open name device" or "closed name status words".
#
#   sh luks_open.sh (DEVICE NAME)... <KEYS
#
# The input has for each container one line with its keys in base64, separated by spaces. `printf`
# and `read` are the shell's own: no key is ever in a list of arguments.
while [ $# -gt 0 ]; do
    IFS= read -r keys || keys=
    status=2
    for key in $keys; do
        said=$(printf %s "$key" | base64 -d |
            cryptsetup open --type luks --key-file=- "$1" "$2" 2>&1)
        status=$?
        # 2: the key does not fit. Anything else: no other key would do.
        [ $status -eq 2 ] || break
    done
    if [ $status -eq 0 ]; then
        echo "open $2 $(readlink -f "/dev/mapper/$2")"
    else
        echo "closed $2 $status $(echo "$said" | tr '\n' ' ')"
    fi
    shift 2
done
udevadm settle --timeout=30
