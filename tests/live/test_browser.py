# SPDX-License-Identifier: Apache-2.0
"""A transfer from Prefect's UI in a real browser: its form, its run, its report."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from lab import site
from lab.records import Lab
from tests.live import browser, hosts
from tests.live.controller import Controller

pytestmark = pytest.mark.live

MACHINE = "browsed"
FIELDS = (
    "Machine",
    "Source",
    "Kind of source",
    "Destination host",
    "Provider options",
    "Overrides",
    "Storage map",
    "Track changes",
    "Lag that is too long",
    "Bandwidth limit",
)


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("images") / f"{MACHINE}.qcow2"
    hosts.make_qcow2(path, data_mib=8, size="1G")
    return path


@pytest.fixture(scope="module")
def ready(controller: Controller, the_lab: Lab, image: Path) -> None:
    """Endpoints and options are stored; a machine that is shut off."""
    controller.store_site(the_lab)
    hosts.define_shut_off(the_lab.source, MACHINE, image)


@pytest.fixture
def ui(controller: Controller) -> Iterator[browser.Ui]:
    with browser.ui(controller) as opened:
        yield opened


def fill(ui: browser.Ui) -> None:
    """Fill in what has to be."""
    ui.field("Machine").fill(MACHINE)
    ui.field("Source").fill(site.SOURCE)
    ui.field("Destination host").fill(site.DESTINATION)


def test_form_says_what_is_wrong_beside_its_field(controller: Controller, ui: browser.Ui) -> None:
    before = len(controller.runs("transfer"))
    ui.open_form("transfer")
    titles = ui.titles()
    # On PostgreSQL: it keeps the schema without the order of its fields.
    assert [title for title in titles if title in FIELDS] == list(FIELDS)
    ui.submit()
    for missing in ("machine", "source", "destination"):
        ui.says(f"'{missing}' is a required property")
    ui.field("Machine").scroll_into_view_if_needed()
    ui.picture("form-refused")
    fill(ui)
    ui.field("Bandwidth limit").fill("0")
    ui.submit()
    # The browser itself says it here, and keeps the form.
    assert ui.field("Bandwidth limit").evaluate("input => input.validity.rangeUnderflow")
    assert len(controller.runs("transfer")) == before


def test_what_is_rarely_wanted_is_unfolded(ui: browser.Ui) -> None:
    ui.open_form("deploy")
    assert "Disk bus" not in ui.titles()
    ui.page.get_by_role("tab", name="choices of its own").click()
    bus = ui.choice("Disk bus")
    expect(bus).to_have_text("virtio")
    bus.click()
    choices = ui.page.get_by_role("option")
    expect(choices).to_have_text(["virtio", "scsi", "sata", "ide"])


def test_transfer_is_started_watched_and_its_report_read(
    controller: Controller, the_lab: Lab, ready: None, image: Path, ui: browser.Ui
) -> None:
    clean = {host.name: hosts.traces(host) for host in (the_lab.source, the_lab.destination)}
    with controller.worker("controller-of-browsers"):
        ui.open_form("transfer")
        fill(ui)
        ui.picture("form-transfer", height=1700)
        ui.submit()
        ui.open_run()
        assert ui.end_of_run(seconds=240) == "Completed"
        ui.says(f"transfer-{MACHINE}")
        ui.picture("run-completed")
        ui.open_artifact(f"transfer-{MACHINE}")
        ui.says(f"{MACHINE} → {site.DESTINATION}")
        report = ui.page.locator("body").inner_text()
        ui.picture("report")
    assert re.search(r"Full transfer: 8\.\d MiB sent of 1\.0 GiB\.", report), report
    assert re.search(r"^sda\s+all\s+1\.0 GiB\s+8\.\d MiB", report, re.MULTILINE), report
    assert "Verified: every range that was written was read back" in report
    assert "Volumes: 1 created." in report
    after = hosts.traces(the_lab.destination)
    (replica,) = (name for name in after["volumes"] if name.startswith(f"{MACHINE}-"))
    hosts.assert_same_contents(image, hosts.volume_file(the_lab.destination, replica))
    after["volumes"].remove(replica)
    assert after == clean["destination"]
    assert hosts.traces(the_lab.source) == clean["source"]
