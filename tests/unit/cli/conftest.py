# SPDX-License-Identifier: Apache-2.0
import pytest


@pytest.fixture(autouse=True)
def named_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """Name a server at which nobody listens: what is tested here asks none."""
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
