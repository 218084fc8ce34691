# SPDX-License-Identifier: Apache-2.0
# In a guest: make a folder of .deb files a flat repository (sources.list(5)), then run a command.
# Format of the index: deb(5), "Packages".
#
#   sh apt_index.sh FOLDER COMMAND…
cd "$1" && shift || exit 1
for deb in *.deb; do
    dpkg-deb -f "$deb" || continue
    sum=$(sha256sum "$deb")
    printf 'Filename: ./%s\nSize: %s\nSHA256: %s\n\n' "$deb" "$(stat -c %s "$deb")" "${sum%% *}"
done >Packages
echo "deb [trusted=yes] copy:$PWD ./" >sources.list
mkdir -p lists/partial
exec "$@"
