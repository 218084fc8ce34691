# SPDX-License-Identifier: Apache-2.0
"""What is said of a host from which machines cannot be read."""

from pathlib import Path

import pytest
from pydantic import SecretStr

from tests.fakes.libvirt_fakes import FakeConnection, open_fake
from tests.fakes.local_remote import LocalRemote
from tradewind.errors import (
    BadInputError,
    ConnectionFailedError,
    HypervisorError,
    TradewindError,
)
from tradewind.host.domain import domains
from tradewind.host.validate import as_source
from tradewind.model.finding import Severity
from tradewind.model.host import HostAccess
from tradewind.model.source import BackupTransport, BlockedWork, SourceCare
from tradewind.sources.libvirt import preflight, state, trial
from tradewind.sources.libvirt.source import _describe

ACCESS = HostAccess(
    host="old.example", username="mover", private_key=SecretStr("key"), host_key="SHA256:x"
)
DOMAIN = """<domain type="test"><name>web</name><memory>1024</memory><os><type>hvm</type></os>
<devices><disk type="file" device="disk"><driver name="qemu" type="qcow2"/>
<source file="/images/web.qcow2"/><target dev="vda" bus="virtio"/></disk></devices></domain>"""


@pytest.mark.parametrize(
    ("failure", "remedy"),
    [
        (HypervisorError("old.example: QEMU may not", "print the rule"), "print the rule"),
        (ConnectionFailedError("no tunnel", "set AllowStreamLocalForwarding yes"), "AllowStream"),
        (HypervisorError("something else"), "member of group kvm"),
    ],
)
def test_what_failed_is_an_error_with_its_remedy(
    monkeypatch: pytest.MonkeyPatch, failure: TradewindError, remedy: str
) -> None:
    def fail(*_words: object) -> None:
        raise failure

    monkeypatch.setattr(trial, "prove", fail)
    (found,) = trial.findings(ACCESS, SourceCare())
    assert (found.severity, found.what) == (Severity.ERROR, failure.message)
    assert remedy in found.remedy
    (warned,) = as_source([found])
    assert warned.severity is Severity.WARNING
    assert warned.what == f"no machine can be read from here: {failure.message}"


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeConnection:
    monkeypatch.setattr(
        FakeConnection,
        "getDomainCapabilities",
        lambda *_words: (
            "<domainCapabilities><features><backup supported='no'/></features></domainCapabilities>"
        ),
    )
    return open_fake(tmp_path)


def found_before(host: FakeConnection, care: SourceCare | None = None) -> list[str]:
    domain = domains.require_domain(host, "web")
    machine = _describe(host, domain)
    found = preflight.preflight_source(
        host, LocalRemote(), domain, machine, care or SourceCare()
    ).findings
    return [f"{each.severity}: {each.what} → {each.remedy}" for each in found]


def test_machine_that_has_not_asked_for_backups_is_refused_with_the_lines_that_do(
    host: FakeConnection,
) -> None:
    domains.define(host, DOMAIN)
    domain = domains.require_domain(host, "web")
    assert not [each for each in state.look(domain) if "backs up" in each.what], "its reader asks"
    domains.start(host, "web")
    (asked,) = (each for each in state.look(domain) if "backs up only what asks" in each.what)
    assert asked.stops is BlockedWork.TRANSFER
    assert asked.what.startswith("web cannot be read while it runs")
    assert "<qemu:add capability='incremental-backup'/>" in asked.remedy
    assert "xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'" in asked.remedy
    machine = _describe(host, domain).model_copy(update={"states": (asked,)})
    with pytest.raises(BadInputError, match="backs up only what asks"):
        state.require(machine)


def test_risk_of_tcp_is_told(host: FakeConnection) -> None:
    domains.define(host, DOMAIN)
    (said,) = (
        said
        for said in found_before(host, SourceCare(backup_transport=BackupTransport.TCP))
        if "loopback" in said
    )
    assert said.startswith("warning: while the machine is read, every account of its host")
