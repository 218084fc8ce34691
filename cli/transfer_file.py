# SPDX-License-Identifier: Apache-2.0
"""A file of transfers: a table as spreadsheets write it (CSV), a line for each machine.

Its first line names columns after the options of `tradewind transfer create`, without their
dashes. What a line leaves empty is what the command line says for all.
"""

import csv
import io
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pydantic import ValidationError

from cli.schedule_options import due
from cli.transfer_lookup import default_name, transfer_request
from tradewind.errors import BadInputError, OptionError
from tradewind.host.validate import require_all
from tradewind.model.record import faults
from tradewind.model.requests import TransferRequest
from tradewind.nearest import listed

if TYPE_CHECKING:
    from deployments.registration import Schedule

COLUMNS: Final = (
    "machine", "name", "from", "to", "options", "cron", "timezone", "every", "exact", "images",
    "storage", "set", "track-changes", "bandwidth-limit", "lag-warning",
)  # fmt: skip
_BETWEEN: Final = ";"
_WORDS: Final = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}

Row = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class NewTransfer:
    """A line of the file: what it asks for, under which name, and when it comes due."""

    name: str
    request: TransferRequest
    schedule: "Schedule | None"


def read_transfers(path: Path, for_all: Row) -> list[NewTransfer]:
    """Read a file whole; OptionError or SeveralProblemsError says what is wrong in which lines."""
    found: list[NewTransfer] = []
    require_all([partial(_read_line, number, row, found) for number, row in _rows(path, for_all)])
    if not found:
        raise OptionError(f"{path}: no transfer is in it", "write a line for each machine")
    often = Counter(each.name for each in found)
    twice = [name for name, times in often.items() if times > 1]
    if twice:
        raise OptionError(
            f"{path}: transfers with the same name: {listed(twice, twice[0])}",
            "give each a name of its own, in the column “name”",
        )
    return found


def _rows(path: Path, for_all: Row) -> Iterator[tuple[int, Row]]:
    """Walk the lines below the first, as column → cell; an empty cell says what is for all."""
    try:
        text = path.read_text(encoding="utf-8-sig")
        rows = csv.DictReader(io.StringIO(text), delimiter=_delimiter(text), strict=True)
        _require_columns(path, rows.fieldnames or ())
        for row in rows:
            cells = {str(column): str(cell or "").strip() for column, cell in row.items()}
            yield rows.line_num, _with(for_all, {key: cell for key, cell in cells.items() if cell})
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise OptionError(f"{path} cannot be read: {error}", "name a CSV file in UTF-8") from None


def _with(for_all: Row, own: Row) -> Row:
    """Let a line's own words stand instead of those for all, and be it when it comes due."""
    dues = ("cron", "every")
    kept = {
        column: word
        for column, word in for_all.items()
        if column not in dues or not any(due in own for due in dues)
    }
    return {**kept, **own}


def _delimiter(text: str) -> str:
    """Tell what is between columns: where a comma is for decimals, spreadsheets write “;”."""
    return max(",;\t", key=text.partition("\n")[0].count)


def _require_columns(path: Path, there: Any) -> None:
    unknown = [column for column in there if column not in COLUMNS]
    if unknown or "machine" not in there:
        what = f"unknown column “{unknown[0]}”" if unknown else "no column “machine”"
        raise OptionError(f"{path}: {what}", f"its first line names some of: {', '.join(COLUMNS)}")


def _read_line(number: int, row: Row, found: list[NewTransfer]) -> None:
    try:
        found.append(_listed(row))
    except BadInputError as error:
        raise type(error)(f"line {number}: {error.message}", error.hint) from None
    except ValidationError as error:
        raise OptionError(f"line {number}: {faults(error)}") from None


def _listed(row: Row) -> NewTransfer:
    if "None" in row:  # what DictReader calls the column of cells that have none
        raise OptionError("more cells than columns", "quote a cell that has a comma in it")
    request = transfer_request(
        machine=row.get("machine", ""),
        source=_needed(row, "from"),
        destination=_needed(row, "to"),
        images=_flag(row, "images", otherwise=False),
        storage=_several(row, "storage"),
        settings=_several(row, "set"),
        track_changes=_flag(row, "track-changes", otherwise=True),
        **_optional(row, {"options": str, "bandwidth-limit": int, "lag-warning": int}),
    )
    name = row.get("name") or default_name(request)
    words = row.get("cron"), row.get("timezone", "UTC"), row.get("every")
    schedule = due(name, *words, exact=_flag(row, "exact", otherwise=False))
    return NewTransfer(name, request, schedule)


def _needed(row: Row, column: str) -> str:
    if not row.get(column):
        raise OptionError(f"nothing says “{column}”", f"fill in its column, or say --{column}")
    return row[column]


def _several(row: Row, column: str) -> list[str]:
    return [each.strip() for each in row.get(column, "").split(_BETWEEN) if each.strip()]


def _optional(row: Row, kinds: Mapping[str, Callable[[str], object]]) -> dict[str, Any]:
    found = {}
    for column, kind in kinds.items():
        if column in row:
            try:
                found[column.replace("-", "_")] = kind(row[column])
            except ValueError:
                raise OptionError(f"{column}: “{row[column]}” is no number") from None
    return found


def _flag(row: Row, column: str, *, otherwise: bool) -> bool:
    said = row.get(column)
    if said is None:
        return otherwise
    if said.casefold() not in _WORDS:
        raise OptionError(f"{column}: “{said}” is neither yes nor no", "write yes or no")
    return _WORDS[said.casefold()]
