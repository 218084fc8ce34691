# SPDX-License-Identifier: Apache-2.0
"""What tests do to a host behind Tradewind's back: put an image there, start clean."""

from pathlib import Path

from lab import namespaces
from lab.commands import call
from lab.records import HostPlan, LabHost
from lab.resources import POOLS, virsh

_KEPT = "worker-images"  # staged once, used by every test

_UNDEFINE = ("--nvram", "--tpm", "--managed-save", "--snapshots-metadata", "--checkpoints-metadata")


def copy_into_pool(host: LabHost, pool: str, image_path: Path, volume_name: str) -> None:
    """Copy an image of this machine into a pool of the host, holes as holes, and refresh it."""
    plan = namespaces.plan_of(host)
    volume = inside(plan, POOLS[pool]) / volume_name
    call(["cp", "--reflink=auto", "--sparse=always", str(image_path), str(volume)])
    volume.chmod(0o600)
    virsh(plan, "pool-refresh", pool)


def inside(plan: HostPlan, path: str) -> Path:
    """Return where this machine sees a path of the host, its private mounts included."""
    return Path(f"/proc/{namespaces.anchor(plan)}/root{path}")


def wipe(host: LabHost) -> None:
    """Remove every domain, every volume outside pool worker-images, and /var/tmp's contents."""
    plan = namespaces.plan_of(host)
    for domain in domains(plan, "--state-running", "--state-paused", "--state-other"):
        virsh(plan, "destroy", domain)
    for domain in domains(plan, "--all"):
        virsh(plan, "undefine", domain, *_UNDEFINE)
    folders = [path for pool, path in POOLS.items() if pool != _KEPT]
    find = ["find", *folders, "/var/tmp", "-mindepth", "1", "-delete"]
    call(namespaces.enter(plan, find))
    for pool in POOLS:
        virsh(plan, "pool-refresh", pool)


def domains(plan: HostPlan, *filters: str) -> list[str]:
    """Return the UUIDs of the host's domains."""
    return virsh(plan, "list", "--uuid", *filters)
