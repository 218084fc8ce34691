# SPDX-License-Identifier: Apache-2.0
"""An existing INI file with the section [libvirt_migration_provider]."""

import configparser
from pathlib import Path
from typing import Final

from tradewind.errors import NotFoundError, OptionError
from tradewind.model.options import ProviderOptions
from tradewind.model.quotes import unquoted

SECTION: Final = "libvirt_migration_provider"


def read_ini(path: Path | str) -> ProviderOptions:
    """Read the options of a file; what it does not say keeps its default.

    A value in a pair of quotes is what is between them, as oslo.config has it; a byte order mark
    is no part of the first line.

    Raises NotFoundError when there is no such file, OptionError for what cannot be understood
    in it. Other sections are somebody else's.
    """
    parser = configparser.ConfigParser(
        interpolation=None,
        inline_comment_prefixes=("#", ";"),
        default_section="",  # [DEFAULT] is oslo.config's, and none of our options live there
    )
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    try:
        parser.read_string(Path(path).read_text(encoding="utf-8-sig"), source=str(path))
    except (FileNotFoundError, IsADirectoryError):
        raise NotFoundError(f"no options file {path}", "give the path of an INI file") from None
    except (configparser.Error, UnicodeDecodeError) as error:
        raise OptionError(f"{path} is not an INI file: {error}") from None
    if not parser.has_section(SECTION):
        raise OptionError(f"{path} has no section [{SECTION}]", f"begin it with [{SECTION}]")
    values = {name: unquoted(value) for name, value in parser.items(SECTION)}
    return ProviderOptions.model_validate(values)
