# SPDX-License-Identifier: Apache-2.0
"""What a server remembers of flows: readable names, the reports, and no secret."""

import base64
import pickle
import re

import pytest
from prefect import settings
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    ArtifactFilter,
    ArtifactFilterKey,
    FlowRunFilter,
    FlowRunFilterName,
)
from prefect.client.schemas.objects import FlowRun

from flows.deploy import deploy
from flows.transfer import transfer
from tests.fakes.flow_stage import GUEST, Stage
from tests.fakes.prefect_server import Server
from tradewind.errors import NotFoundError
from tradewind.model.guest import MorphOptions
from tradewind.morphing import plan
from tradewind.units import MiB

MACHINE = "keepsake01"
MORPHS = [plan.name(step) for step in plan.steps_for(GUEST, MorphOptions())]


def run_called(client: SyncPrefectClient, name: str) -> FlowRun:
    (run,) = client.read_flow_runs(
        flow_run_filter=FlowRunFilter(name=FlowRunFilterName(any_=[name]))
    )
    return run


def all_kept(server: Server) -> bytes:
    """Read all that the server wrote, past its interfaces."""
    files = sorted(server.database.parent.glob(f"{server.database.name}*"))
    return b"".join(file.read_bytes() for file in files)


def traces(key: str) -> list[bytes]:
    """Pieces of a key in each of the forms in which it travels."""
    line = key.splitlines()[2]
    return [line[:30].encode(), base64.b64encode(key.encode())[200:240]]


def test_parameters_and_reports_and_no_secret(stage: Stage, prefect_server: Server) -> None:
    stage.source.contents[MACHINE] = {"sda": bytes(MiB)}
    transfer(stage.transfer(machine=MACHINE))
    deploy(stage.deploy(machine=MACHINE))
    with get_client(sync_client=True) as client:
        moved = run_called(client, f"transfer-{MACHINE}")
        deployed = run_called(client, f"deploy-{MACHINE}")
        # Other tests of this process may have filled more than a page.
        wanted = ArtifactFilter(key=ArtifactFilterKey(like_=MACHINE))
        found = client.read_artifacts(artifact_filter=wanted)
        artifacts = {artifact.key: artifact.data for artifact in found}
    assert moved.parameters["request"]["machine"] == MACHINE
    assert deployed.parameters["request"]["destination"] == stage.endpoint
    assert "Full transfer" in str(artifacts[f"transfer-{MACHINE}"])
    assert "proven by its guest agent" in str(artifacts[f"deploy-{MACHINE}"])
    kept = all_kept(prefect_server)
    assert MACHINE.encode() in kept  # what is looked for below would be found
    for trace in (*traces(stage.key), *traces(stage.worker_key)):
        assert trace not in kept
        assert trace.decode() not in f"{moved}{deployed}{artifacts}"


def test_every_task_run_has_a_name_to_read(stage: Stage) -> None:
    stage.source.contents[MACHINE] = {"sda": bytes(MiB)}
    transfer(stage.transfer(machine=MACHINE))
    deploy(stage.deploy(machine=MACHINE))
    assert not [name for name in stage.task_runs if "{" in name or "=" in name]
    shortened = [re.sub(r"[0-9a-f]{8,12}", "…", name) for name in stage.task_runs]
    assert shortened == [
        "survey-kvm1.example",
        "clean-up-before-…",
        f"plan-volumes-{MACHINE}",
        f"create-{MACHINE}-…-sda.qcow2",
        "boot-transfer-worker",
        f"attach-{MACHINE}-…-sda.qcow2",
        "start-writer-tradewind-…-transfer",
        f"mark-written-{MACHINE}",
        f"detach-{MACHINE}-…-sda.qcow2",
        "discard-transfer-worker",
        f"record-replica-{MACHINE}",
        f"find-replica-{MACHINE}",
        "survey-kvm1.example",
        f"check-deployment-{MACHINE}",
        f"clone-tradewind-…-{MACHINE}-sda.qcow2",
        "boot-morphing-worker",
        f"attach-tradewind-…-{MACHINE}-sda.qcow2",
        f"inspect-guest-{MACHINE}",
        "mount-guest",
        *[f"morph-{name}" for name in MORPHS],
        "unmount-guest",
        "close-guest",
        f"detach-tradewind-…-{MACHINE}-sda.qcow2",
        "discard-morphing-worker",
        f"plan-domain-{MACHINE}",
        f"add-attachments-{MACHINE}",
        f"define-{MACHINE}",
        f"prove-boot-{MACHINE}",
        f"finish-{MACHINE}",
    ]


def test_only_errors_are_stored_and_they_name_no_secret(stage: Stage) -> None:
    """What a step returns may hold keys, so nothing of it is stored; errors of flows are."""
    transfer(stage.transfer())
    with pytest.raises(NotFoundError):
        transfer(stage.transfer(machine="nobody"))
    stored = [file.read_bytes() for file in settings.PREFECT_LOCAL_STORAGE_PATH.value().iterdir()]
    kept = [pickle.loads(base64.b64decode(content)) for content in stored]  # noqa: S301 - our own
    assert any(isinstance(error, NotFoundError) and "nobody" in error.message for error in kept)
    assert [item for item in kept if not isinstance(item, BaseException)] == []
    for trace in (*traces(stage.key), *traces(stage.worker_key)):
        assert not any(trace in base64.b64decode(content) for content in stored)
