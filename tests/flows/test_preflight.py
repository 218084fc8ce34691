# SPDX-License-Identifier: Apache-2.0
"""The preflight says everything at once, and changes nothing."""

import pytest
from pydantic import SecretStr

from blocks import GuestSecrets
from flows.preflight import preflight
from tests.fakes.flow_stage import Stage
from tradewind.errors import HypervisorError
from tradewind.host import storage
from tradewind.host.domain import domains
from tradewind.host.storage import volume_sync
from tradewind.model.finding import Severity
from tradewind.model.preflight import Area, PreflightReport, PreflightRequest


@pytest.fixture(autouse=True)
def worker_image(monkeypatch: pytest.MonkeyPatch) -> None:
    """The stage's volumes hold nothing: this is how the worker image begins."""
    monkeypatch.setattr(storage, "download", lambda *_: b"QFI\xfb\0\0\0\3" + bytes(64))


def asked(stage: Stage, **changes: object) -> PreflightRequest:
    deploy_options = changes.pop("deploy_options", {"network_map": {"default": "lan"}})
    return PreflightRequest.model_validate(
        {"transfer": stage.transfer(**changes), "deploy_options": deploy_options}
    )


def errors(report: PreflightReport) -> dict[Area, list[str]]:
    """Say what is wrong, and see that nothing said leaves a person without evidence and remedy."""
    found: dict[Area, list[str]] = {}
    for area, finding in report.sorted_findings():
        assert finding.evidence
        assert finding.remedy
        if finding.severity is Severity.ERROR:
            found.setdefault(area, []).append(finding.what)
    return found


def test_a_machine_that_can_move_is_ready(stage: Stage) -> None:
    volumes, names = stage.volumes(), stage.domains()
    report = preflight(asked(stage))
    assert report.ready, errors(report)
    assert [seen.area for seen in report.areas] == list(Area)
    assert (stage.volumes(), stage.domains()) == (volumes, names)
    said = [found.what for area, found in report.sorted_findings() if area is Area.REPLICA]
    assert any(line.startswith("2 volumes of") for line in said)


def test_everything_that_is_wrong_is_said_at_once(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> tuple[str, ...]:
        raise HypervisorError("pool fast does not answer", "wake it")

    monkeypatch.setattr(volume_sync, "require_room", full)
    overrides = {"migr_worker_network": "nowhere", "migr_image_map": {"linux": "absent.qcow2"}}
    report = preflight(asked(stage, overrides=overrides, deploy_options={}))
    found = errors(report)
    assert not report.ready
    assert len(found[Area.WORKER]) == 2
    assert found[Area.REPLICA] == ["pool fast does not answer"]
    assert len(found[Area.NEW_MACHINE]) == 1
    assert "is not mapped" in found[Area.NEW_MACHINE][0]


def test_image_that_no_option_names_hides_nothing(stage: Stage) -> None:
    overrides = {"migr_worker_network": "nowhere", "migr_image_map": {"bsd": "other.qcow2"}}
    found = errors(preflight(asked(stage, overrides=overrides)))
    image, network = found[Area.WORKER]
    assert "names no worker image for “linux”" in image
    assert "nowhere" in network


def test_what_depends_on_a_machine_that_is_not_there_is_named_as_not_looked_at(
    stage: Stage,
) -> None:
    report = preflight(asked(stage, machine="nobody"))
    assert list(errors(report)) == [Area.MACHINE]
    assert report.skipped == (Area.GUEST, Area.REPLICA, Area.NEW_MACHINE)


def test_a_name_that_is_taken_is_found(stage: Stage) -> None:
    stage.make_replica()
    domains.define(
        stage.host,
        "<domain type='test'><name>web01</name><memory>1024</memory>"
        "<os><type>hvm</type></os></domain>",
    )
    report = preflight(asked(stage))
    assert "there is a machine “web01”" in errors(report)[Area.NEW_MACHINE][0]
    assert not [area for area, found in report.sorted_findings() if "would be made" in found.what]


def test_a_console_that_is_open_to_everybody_is_a_warning(stage: Stage) -> None:
    def said(report: PreflightReport) -> list[tuple[Severity, str, str]]:
        return [
            (found.severity, found.what, found.remedy)
            for area, found in report.sorted_findings()
            if area is Area.NEW_MACHINE and "VNC" in found.what
        ]

    console = {"enable_vm_vnc_console": True}
    [(severity, what, remedy)] = said(preflight(asked(stage, overrides=console)))
    assert severity is Severity.WARNING
    assert "every address of the host without a password" in what
    assert "SSH tunnel" in remedy
    one = {**console, "vnc_listen_address": "198.18.0.1"}
    [(severity, what, _)] = said(preflight(asked(stage, overrides=one)))
    assert severity is Severity.NOTE
    assert "address 198.18.0.1" in what
    own = {**console, "vnc_listen_address": "127.0.0.1"}
    assert said(preflight(asked(stage, overrides=own))) == []
    GuestSecrets(vnc_password=SecretStr("eightchr")).save("console-of-web01", overwrite=True)
    deploy_options = {"network_map": {"default": "lan"}, "guest_secrets": "console-of-web01"}
    report = preflight(asked(stage, overrides=console, deploy_options=deploy_options))
    assert said(report) == []
    assert "eightchr" not in report.model_dump_json()


def test_secrets_that_are_not_there_are_found_before_the_deployment(stage: Stage) -> None:
    deploy_options = {"network_map": {"default": "lan"}, "guest_secrets": "nowhere"}
    report = preflight(asked(stage, deploy_options=deploy_options))
    assert "nowhere" in "".join(errors(report)[Area.NEW_MACHINE])
