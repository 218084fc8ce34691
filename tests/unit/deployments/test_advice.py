# SPDX-License-Identifier: Apache-2.0
"""When another database is advised."""

import pytest

from deployments.advice import MANY, outgrown_sqlite


@pytest.mark.parametrize("ledger", ["/srv/ledger.sqlite", "sqlite:////srv/ledger.sqlite"])
def test_many_schedules_ask_for_another_database(ledger: str) -> None:
    advice = outgrown_sqlite(MANY, ledger)
    assert advice is not None
    assert f"{MANY} transfers have a schedule" in advice.what
    assert "PostgreSQL" in advice.remedy
    assert outgrown_sqlite(MANY - 1, ledger) is None


def test_who_has_postgresql_is_not_told() -> None:
    assert outgrown_sqlite(10 * MANY, "postgresql+psycopg://ledger@db.example/ledger") is None
