# SPDX-License-Identifier: Apache-2.0
"""Read an operator's scripts, before anything is made: what is missing or odd is refused then.

<scripts_folder>/linux/after-mount/10-ntp.sh         every Linux guest
                 red-hat/first-boot/20-subscribe     a family: debian, red-hat, suse, unknown
                 ubuntu/before-mount/30-check        a distribution: the ID of its os-release
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from tradewind.errors import OptionError
from tradewind.model.scripts import LoadedScript, Script, ScriptPhase
from tradewind.units import MiB

LARGEST: Final = 1 * MiB
# A script of a folder has the time limit of one that names none.
TIME_LIMIT: Final = int(Script.model_fields["time_limit"].default)

_PHASES: Final = {phase.folder: phase for phase in ScriptPhase}


def load(scripts: Sequence[Script], folder: str | None) -> tuple[LoadedScript, ...]:
    """Read the scripts of the folder, then those of this machine; OptionError names a bad one."""
    of_folder = () if folder is None else tuple(_of_folder(Path(folder)))
    return (*of_folder, *(_of_machine(each, number) for number, each in enumerate(scripts, 1)))


def _of_folder(folder: Path) -> Iterator[LoadedScript]:
    for scope in _entries(folder, "scripts_folder"):
        if not scope.is_dir():  # a README, for example
            continue
        for phase in _entries(scope, "scripts_folder"):
            if phase.name not in _PHASES:
                raise OptionError(
                    f"scripts_folder: {phase} is no phase",
                    f"the folders of {scope} are {', '.join(_PHASES)}",
                )
            for file in _entries(phase, "scripts_folder"):
                yield LoadedScript(
                    phase=_PHASES[phase.name],
                    name=file.name,
                    text=_text(file, "scripts_folder"),
                    time_limit=TIME_LIMIT,
                    scope=scope.name,
                )


def _entries(folder: Path, option: str) -> list[Path]:
    """List a folder in its order; hidden files and the copies that editors leave are no scripts."""
    try:
        found = sorted(folder.iterdir())
    except OSError as error:
        raise OptionError(
            f"{option}: {folder} cannot be read: {error.strerror}",
            "it is read on the machine that runs the flow (the Prefect worker)",
        ) from None
    return [path for path in found if not path.name.startswith(".") and path.name[-1] != "~"]


def _of_machine(script: Script, number: int) -> LoadedScript:
    text = _text(Path(script.path), "scripts") if script.path else script.text or ""
    name = script.called if script.name or script.path else f"script-{number}"
    return LoadedScript(
        phase=script.phase,
        name=name,
        text=_judged(text, f"scripts: {name}"),
        time_limit=script.time_limit,
    )


def _text(file: Path, option: str) -> str:
    try:
        if file.stat().st_size > LARGEST:
            raise OptionError(f"{option}: {file} is larger than {LARGEST // MiB} MiB")
        text = file.read_bytes().decode()
    except OSError as error:
        raise OptionError(
            f"{option}: {file} cannot be read: {error.strerror}",
            "it is read on the machine that runs the flow (the Prefect worker)",
        ) from None
    except UnicodeDecodeError:
        raise OptionError(
            f"{option}: {file} is no text", "a script is text; put a program's file elsewhere"
        ) from None
    return _judged(text, f"{option}: {file}")


def _judged(text: str, where: str) -> str:
    if not text.startswith("#!"):
        raise OptionError(
            f"{where} does not begin with #!", "say what runs it, for example #!/bin/sh"
        )
    if "\r\n" in text[: text.index("\n") + 1 if "\n" in text else None]:
        raise OptionError(
            f"{where} has Windows line ends", "store it with the line ends of Unix (dos2unix)"
        )
    return text
