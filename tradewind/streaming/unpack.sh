# SPDX-License-Identifier: Apache-2.0
# In a worker: unpack files that are nobody else's to read into a folder, then run a command.
#
#   sh unpack.sh FOLDER COMMAND… <ARCHIVE
umask 077 && mkdir -p "$1" && tar -x -C "$1" && shift && exec "$@" </dev/null
