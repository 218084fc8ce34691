# SPDX-License-Identifier: Apache-2.0
# In a worker: start the writer service as a unit, and return when it listens.
#
#     sh start_writer.sh FOLDER UNIT
#
# It reads its certificates and opens the attached disks, which are root's own: no capability, no other
# file to write, no core with its keys. A service that was killed is started again; its clients then see
# a broken connection, and compare and flush anew. One that cannot start (status 1) is not. Descriptors: tradewind/streaming/writer_service.py
# holds 256 of strangers, and a few for each client.
set -e

folder=$1
unit=$2

# A repeated step finds the unit of the attempt before it.
systemctl stop "$unit" 2>/dev/null || true
systemctl reset-failed "$unit" 2>/dev/null || true

exec systemd-run --quiet --unit="$unit" --service-type=notify \
    --property=NotifyAccess=main \
    --property=Restart=on-failure \
    --property=RestartPreventExitStatus=1 \
    --property=LimitNOFILE=4096 \
    --property=LimitCORE=0 \
    --property=NoNewPrivileges=yes \
    --property=CapabilityBoundingSet= \
    --property=ProtectSystem=strict \
    --property=ProtectHome=yes \
    --property=ProtectControlGroups=yes \
    --property=ProtectKernelTunables=yes \
    --property=PrivateTmp=yes \
    python3 -I "$folder/writer_service.py" "$folder/config.json"
