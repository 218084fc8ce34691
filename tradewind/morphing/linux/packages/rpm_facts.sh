# SPDX-License-Identifier: Apache-2.0
# In a guest: print of each .rpm file in a folder "@ path", then lines "N name", "P what it
# provides", "R what it requires".
#
#   sh rpm_facts.sh FOLDER
format='N %{NAME}\n[P %{PROVIDENAME}\n][P %{FILENAMES}\n][R %{REQUIRENAME}\n]'
cd "$1" && for file in *.rpm; do
    printf '@ %s/%s\n' "$1" "$file"
    rpm -qp --nosignature --qf "$format" "$file" 2>/dev/null
done
