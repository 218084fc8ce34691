# SPDX-License-Identifier: Apache-2.0
# In a guest: name what can make a unified kernel image, the best first.
PATH=$PATH:/usr/lib/systemd:/lib/systemd
command -v ukify >/dev/null && echo ukify
command -v objcopy >/dev/null && dracut --help 2>/dev/null | grep -qe --kernel-cmdline &&
    echo dracut
exit 0
