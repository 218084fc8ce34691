# SPDX-License-Identifier: Apache-2.0
"""One call up, one call down, and nothing left behind."""

import fcntl
import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlencode

from lab import (
    daemons,
    files,
    kvm,
    mirror_service,
    namespaces,
    network,
    prefect_server,
    resources,
    settings,
)
from lab.errors import LabError
from lab.records import DESTINATION, EVERY_HOST, HOSTS, SOURCE, HostPlan, Lab, LabHost


def up() -> Lab:
    """Build what is missing of the lab and return it. A second call changes nothing."""
    with _alone():
        network.refuse_foreign_lab()
        _refuse_foreign_folder()
        works = _kvm_works()
        settings.state_folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        files.make_account_key()
        network.build()
        mirror_service.start()
        with ThreadPoolExecutor(len(HOSTS)) as pool:
            list(pool.map(lambda plan: _build_host(plan, kvm=works), HOSTS))
        return _write_down(kvm=works)


def _refuse_foreign_folder() -> None:
    """Raise LabError when the state folder, which `down` deletes, holds something else."""
    folder = settings.state_folder
    if not folder.exists() or settings.key_file.parent.exists():
        return
    # A flow that outlives the lab opens its ledger once more and so makes the folder again.
    ledger = settings.ledger_file.name
    foreign = sorted(p.name for p in folder.iterdir() if not p.name.startswith(ledger))
    if foreign:
        raise LabError(
            f"{folder} is no lab's state folder: it holds other files ({', '.join(foreign[:3])})",
            "set TRADEWIND_LAB_DIR to a folder that does not exist yet",
        )


def _kvm_works() -> bool:
    """Keep to what the hosts that run were given; otherwise probe, as after a reboot."""
    known = describe()
    runs = any(namespaces.anchor(plan) for plan in HOSTS)
    return known.kvm if known and runs else kvm.works()


def _build_host(plan: HostPlan, *, kvm: bool) -> None:
    files.lay_out(plan)
    namespaces.open_namespaces(plan, kvm=kvm)
    daemons.start(plan)
    resources.offer(plan)


def join(plan: HostPlan) -> LabHost:
    """Let a host of another generation join the lab, which is up; it stays until `down`.

    A second call changes nothing. Raises LabError when the lab is not up.
    """
    with _alone():
        lab = describe()
        if lab is None:
            raise LabError("the lab is not up", "python -m lab up")
        network.connect(plan)
        _build_host(plan, kvm=lab.kvm)
        _write_known_hosts()
        return _hand_out(plan)


def _write_known_hosts() -> None:
    keys = [files.host_key(plan) + "\n" for plan in EVERY_HOST if namespaces.anchor(plan)]
    settings.known_hosts_file.write_text("".join(keys))


def _write_down(*, kvm: bool) -> Lab:
    _write_known_hosts()
    lab = Lab(
        source=_hand_out(SOURCE),
        destination=_hand_out(DESTINATION),
        mirror_url=mirror_service.URL,
        kvm=kvm,
    )
    unfinished = settings.lab_file.with_suffix(".unfinished")
    unfinished.write_text(lab.model_dump_json(indent=2) + "\n")
    unfinished.replace(settings.lab_file)
    return lab


def _hand_out(plan: HostPlan) -> LabHost:
    # Of libvirt's three ways over SSH, `ssh` does not read a known_hosts parameter, and Debian's
    # libvirt 9.0 crashed in `libssh` on 28 of 40 `virsh dumpxml`; `libssh2` on none of 120.
    query = {
        "keyfile": settings.key_file,
        "known_hosts": settings.known_hosts_file,
        "known_hosts_verify": "normal",
        "sshauth": "privkey",
    }
    return LabHost(
        name=plan.name,
        address=plan.address,
        port=22,
        username=settings.ACCOUNT,
        key_path=settings.key_file,
        host_key=files.host_key(plan),
        uri=f"qemu+libssh2://{settings.ACCOUNT}@{plan.address}/system?{urlencode(query, safe='/')}",
    )


def describe() -> Lab | None:
    """Return the lab that is up, or None."""
    try:
        return Lab.model_validate_json(settings.lab_file.read_text())
    except FileNotFoundError:
        return None


def down() -> None:
    """End everything that runs in the lab and remove it. Raises LabError when something stays."""
    with _alone():
        network.refuse_foreign_lab()
        _refuse_foreign_folder()
        settings.lab_file.unlink(missing_ok=True)
        for plan in EVERY_HOST:
            namespaces.end_processes(plan)
        mirror_service.end()
        prefect_server.end()
        network.remove()
        if not _mounts():  # never delete through a mount
            shutil.rmtree(settings.state_folder, ignore_errors=True)
    if remains := leftovers():
        raise LabError("the lab left behind: " + "; ".join(remains))


def leftovers() -> list[str]:
    """Name everything of the lab that is on this machine: nothing after `down`."""
    inside = [
        f"process {pid} in {plan.namespace}" for plan in EVERY_HOST for pid in namespaces.pids(plan)
    ]
    services = {"mirror": mirror_service.pid(), "Prefect's server": prefect_server.pid()}
    serving = [f"process {pid} ({name})" for name, pid in services.items() if pid]
    folder = [f"folder {settings.state_folder}"] if settings.state_folder.exists() else []
    return [*inside, *serving, *network.remains(), *_mounts(), *folder]


def _mounts() -> list[str]:
    ours = [p for p in network.mount_points() if settings.state_folder in Path(p).parents]
    return [f"mount {point}" for point in ours]


@contextmanager
def _alone() -> Iterator[None]:
    """Keep a second `up` or `down` out. The folder itself is the lock: no file to leave behind."""
    if os.geteuid() != 0:
        raise LabError("the lab makes network namespaces and mounts", "run it as root")
    settings.state_folder.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(settings.state_folder.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
