# SPDX-License-Identifier: Apache-2.0
# In a guest: fetch the lists of packages, unless they were fetched since it was mounted.
#
#   sh apt_update.sh MARK APT…
fresh=$1; shift
[ -e "$fresh" ] || { "$@" update && : >"$fresh"; }
