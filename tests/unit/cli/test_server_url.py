# SPDX-License-Identifier: Apache-2.0
"""Commands begin only where Prefect's server is named."""

import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

import cli.main
from cli.server_url import require_server_named
from tradewind.errors import OptionError


def tradewind(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run the command as somebody does who has set nothing up."""
    return subprocess.run(
        [sys.executable, "-m", "cli.main", *words],
        env={"HOME": str(folder), "PATH": "/usr/bin:/bin", "PREFECT_HOME": str(folder / "prefect")},
        cwd=Path(cli.main.__file__).parents[1],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("words", [["setup"], ["endpoint", "list"], ["status"], ["sweep"]])
def test_without_a_server_nothing_is_done_and_the_line_is_told(
    tmp_path: Path, words: list[str]
) -> None:
    done = tradewind(tmp_path, *words)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "PREFECT_API_URL is not set" in done.stderr
    assert "export PREFECT_API_URL=http://127.0.0.1:4200/api" in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.rglob("*.db"))


def test_what_needs_no_server_works_without(tmp_path: Path) -> None:
    done = tradewind(tmp_path, "settings", "worker")
    assert done.returncode == 0
    assert "PREFECT_" in done.stdout


@pytest.mark.parametrize("words", [["status", "--help"], ["endpoint", "add", "--help"]])
def test_help_needs_no_server(monkeypatch: pytest.MonkeyPatch, words: list[str]) -> None:
    monkeypatch.delenv("PREFECT_API_URL")
    assert CliRunner().invoke(cli.main.app, words).exit_code == 0


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:4200/api",
        "https://prefect.example/deep/api/",
        "https://api.prefect.cloud/api/accounts/a/workspaces/b",
    ],
)
def test_urls_of_an_api(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("PREFECT_API_URL", url)
    require_server_named()


@pytest.mark.parametrize(
    ("url", "remedy"),
    [
        ("http://127.0.0.1:4200", "export PREFECT_API_URL=http://127.0.0.1:4200/api"),
        ("http://prefect/apis/", "export PREFECT_API_URL=http://prefect/apis/api"),
        ("http://me:secret@prefect/", "add /api to PREFECT_API_URL"),
    ],
)
def test_url_that_leads_to_no_api(monkeypatch: pytest.MonkeyPatch, url: str, remedy: str) -> None:
    monkeypatch.setenv("PREFECT_API_URL", url)
    with pytest.raises(OptionError) as caught:
        require_server_named()
    assert caught.value.hint == remedy
    assert "secret" not in str(caught.value)
