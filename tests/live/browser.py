# SPDX-License-Identifier: Apache-2.0
"""Prefect's UI as a person uses it: the distribution's chromium, driven by Playwright.

What is clicked is what Prefect 3.8.8 serves by default: its new UI, at /v2.
"""

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from playwright.sync_api import Locator, Page, expect, sync_playwright

from tests.live.controller import ROOT, Controller

PICTURES: Final = "TRADEWIND_TAKE_PICTURES"  # set it to take the pictures of docs/img anew
LARGEST_PICTURE: Final = 200_000
PATIENCE: Final = 60_000  # milliseconds: the processors are busy with emulated machines
_ENDED: Final = re.compile(r"^(Completed|Failed|Crashed|Cancelled|TimedOut)$")


@contextmanager
def ui(controller: Controller) -> Iterator["Ui"]:
    """Lend a browser in which somebody has logged in to the controller's UI."""
    program = shutil.which("chromium")
    assert program, "no chromium: deployments/install-system-packages --lab"
    # Chromium's sandbox does not work for root.
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        try:
            page = browser.new_page(viewport={"width": 1280, "height": 900})
            page.set_default_timeout(PATIENCE)
            expect.set_options(timeout=PATIENCE)
            page.goto(controller.url.removesuffix("/api"))
            page.get_by_placeholder("admin:pass").fill(controller.auth)
            page.get_by_role("button", name="Login").click()
            yield Ui(page)
        finally:
            browser.close()


class Ui:
    """The ways through the UI that the tests take."""

    def __init__(self, page: Page) -> None:
        self.page = page

    def open_form(self, deployment: str) -> None:
        """Go from the list of deployments to the form of one that asks for a machine."""
        self.page.get_by_role("link", name="Deployments", exact=True).click()
        # The list shows ten at a time.
        self.page.get_by_placeholder("Search deployments").fill(deployment)
        # Its flow has the same name, and stands below.
        self.page.get_by_role("link", name=deployment, exact=True).first.click()
        self.page.get_by_role("button", name="Run", exact=True).click()
        self.page.get_by_role("menuitem", name="Custom run").click()
        expect(self.field("Machine")).to_be_visible()

    def field(self, title: str) -> Locator:
        """Find a field of the form; one that may be left empty says so in its title."""
        return self.page.get_by_label(re.compile(rf"^{re.escape(title)}( \(Optional\))?$"))

    def choice(self, title: str) -> Locator:
        """Find a field of the form that is a list of choices."""
        return self.page.get_by_label(f"Select {title}", exact=True)

    def titles(self) -> list[str]:
        """List the titles of the form's fields, as they stand."""
        return [
            said.removesuffix(" (Optional)")
            for said in self.page.locator("label").all_inner_texts()
        ]

    def submit(self) -> None:
        self.page.get_by_role("button", name="Submit").click()

    def says(self, sentence: str) -> None:
        """Wait until a sentence is to be seen."""
        expect(self.page.get_by_text(sentence, exact=True).first).to_be_visible()

    def open_run(self) -> None:
        """Follow the link that a form shows when its run was made."""
        self.page.get_by_role("button", name="View run").click()
        self.page.wait_for_url("**/runs/flow-run/*")

    def end_of_run(self, seconds: float) -> str:
        """Look at a run's page until its state is a last one, and return that."""
        state = self.page.get_by_text(_ENDED).first
        expect(state).to_be_visible(timeout=seconds * 1000)
        return state.inner_text()

    def open_artifact(self, key: str) -> None:
        """Go from a run's page to the newest artifact of a key."""
        self.page.get_by_role("tab", name="Artifacts").click()
        self.page.locator(f'a[href$="/artifacts/key/{key}"]').first.click()
        self.page.locator('a[href*="/artifacts/artifact/"]').first.click()

    def picture(self, name: str, height: int = 900) -> None:
        """Take a picture for the documentation, if that was asked for."""
        if not os.environ.get(PICTURES):
            return
        path = ROOT / "docs" / "img" / f"{name}.png"
        self.page.set_viewport_size({"width": 1280, "height": height})
        self.page.wait_for_timeout(1000)  # what is drawn anew, is drawn
        self.page.screenshot(path=path)
        self.page.set_viewport_size({"width": 1280, "height": 900})
        _make_small(path)


def _make_small(path: Path) -> None:
    """Store a picture in the 256 colours that a UI does not need more of."""
    from PIL import Image  # noqa: PLC0415 - only when pictures are taken

    with Image.open(path) as picture:
        picture.convert("P", palette=Image.Palette.ADAPTIVE, colors=256).save(path, optimize=True)
    assert path.stat().st_size < LARGEST_PICTURE
