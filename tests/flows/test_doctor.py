# SPDX-License-Identifier: Apache-2.0
"""`tradewind doctor`: what is wrong is a finding with a remedy, and no secret is in its bundle."""

import json
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

import cli.main
from blocks import LibvirtEndpoint, ProviderOptionsBlock
from blocks.loading import remove_block
from deployments import doctor
from tests.fakes.ssh_server import free_port, keygen
from tradewind.errors import OptionError
from tradewind.remote.keys import private_key_from_file

NAMES = ("doctor-down", "doctor-off")


@pytest.fixture
def patient(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Two hosts, one that does not answer and one that is disabled; options; no ledger yet."""
    keygen(tmp_path / "id")
    key = private_key_from_file(tmp_path / "id", "id").get_secret_value()
    (tmp_path / "id").write_text(key)
    for name in NAMES:
        LibvirtEndpoint(
            host=f"127.0.0.1:{free_port()}",
            username="mover",
            ssh_key_path=str(tmp_path / "id"),
            host_key="SHA256:" + "A" * 43,
            enabled=name == "doctor-down",
        ).save(name, overwrite=True)
    place = f"sqlite:///{tmp_path}/none/ledger.sqlite"
    ProviderOptionsBlock(sqlite_database_file=place).save("doctor", overwrite=True)
    monkeypatch.setattr(doctor, "block_names", lambda _kind: list(NAMES))
    yield "doctor"
    for name in NAMES:
        remove_block(LibvirtEndpoint, name)
    remove_block(ProviderOptionsBlock, "doctor")


def test_everything_is_looked_at_and_a_host_that_is_down_is_told(
    patient: str, tmp_path: Path
) -> None:
    file = tmp_path / "bundle.tar.gz"
    words = ["doctor", "--options", patient, "--json", "--bundle", str(file)]
    done = CliRunner().invoke(cli.main.app, words)
    assert done.exit_code == 1
    report = doctor.DoctorReport.model_validate_json(done.output.rpartition("}")[0] + "}")
    assert {"python", "prefect", "libvirt client", "qemu-img"} <= set(report.versions)
    looked = {each.area: each.findings for each in report.looked}
    assert looked["controller"] == ()
    (down,) = looked["host doctor-down"]
    assert down.severity == "error"
    assert "127.0.0.1" in down.what
    (off,) = looked["host doctor-off"]
    assert "tradewind endpoint enable doctor-off" in off.remedy
    assert not (tmp_path / "none").exists()  # looking makes nothing

    with tarfile.open(file) as archive:
        archive.extractall(tmp_path / "unpacked", filter="data")
    texts = {each.name: each.read_text() for each in (tmp_path / "unpacked").rglob("*.json")}
    assert set(texts) == {"doctor.json", "options.json", "endpoints.json", "replicas.json"}
    assert not [name for name, text in texts.items() if "PRIVATE KEY" in text]
    assert set(json.loads(texts["endpoints.json"])) == set(NAMES)


def test_a_bundle_replaces_no_file(patient: str, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    words = ["doctor", "--options", patient, "--bundle", str(tmp_path / "mine")]
    done = CliRunner().invoke(cli.main.app, words)
    assert isinstance(done.exception, OptionError)
    assert (tmp_path / "mine").read_text() == "mine"


def test_what_is_not_stored_is_a_finding(patient: str) -> None:
    report = doctor.examine("no-such-options")
    (missing,) = [each for each in report.looked if each.area == "options and ledger"]
    assert "no-such-options" in missing.findings[0].what
    assert not report.healthy
