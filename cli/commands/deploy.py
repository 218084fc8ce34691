# SPDX-License-Identifier: Apache-2.0
"""Commands that turn a replica into a machine, to stay or to be thrown away again."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from cli import parsing
from cli.commands.packages import AllowUnknownOs, PackagesFolder, folder_of
from cli.options import (
    Destination,
    HardwareChoices,
    Json,
    Machine,
    Networks,
    OnFailure,
    Options,
    RootDevice,
    ScriptFiles,
    ScriptsFolder,
    ScriptsMayFail,
    Secrets,
    Source,
)
from cli.printing import show
from tradewind.errors import OptionError
from tradewind.model.deploy_options import OnBootFailure
from tradewind.model.scripts import Script, ScriptPhase
from tradewind.reports.deploy import deploy_markdown


def deploy(
    machine: Machine,
    source: Source,
    destination: Destination,
    options: Options = "default",
    name: Annotated[str | None, typer.Option(help="Name of the new machine.")] = None,
    network: Networks = None,
    on_boot_failure: OnFailure = OnBootFailure.REMOVE,
    clone: Annotated[
        bool, typer.Option(help="Keep the replica. Without a clone it is consumed.")
    ] = True,
    packages_folder: PackagesFolder = None,
    allow_unknown_os: AllowUnknownOs = False,
    hardware: HardwareChoices = None,
    root_device: RootDevice = "",
    guest_secrets: Secrets = "",
    script: ScriptFiles = None,
    scripts_folder: ScriptsFolder = None,
    allow_script_failure: ScriptsMayFail = False,
    json: Json = False,
) -> None:
    """Deploy a replica as a running machine."""
    _deploy(
        json=json,
        machine=machine,
        source=source,
        destination=destination,
        options=options,
        name=name,
        network_map=parsing.network_map(network or []),
        on_boot_failure=on_boot_failure,
        clone_disks=clone,
        packages_folder=packages_folder,
        allow_unknown_os=allow_unknown_os,
        hardware=hardware,
        root_device=root_device,
        guest_secrets=guest_secrets,
        script=script,
        scripts_folder=scripts_folder,
        allow_script_failure=allow_script_failure,
    )


def rehearse(
    machine: Machine,
    source: Source,
    destination: Destination,
    options: Options = "default",
    name: Annotated[
        str | None, typer.Option(help="Name of the copy. Default: MACHINE-rehearsal.")
    ] = None,
    network: Annotated[
        str | None, typer.Option(help="Existing isolated network. Default: create one.")
    ] = None,
    subnet: Annotated[
        str, typer.Option(help="Subnet of the created network.")
    ] = "192.168.231.0/24",
    boot_timeout: Annotated[int, typer.Option(help="Boot timeout in seconds.")] = 600,
    packages_folder: PackagesFolder = None,
    allow_unknown_os: AllowUnknownOs = False,
    hardware: HardwareChoices = None,
    root_device: RootDevice = "",
    guest_secrets: Secrets = "",
    script: ScriptFiles = None,
    scripts_folder: ScriptsFolder = None,
    allow_script_failure: ScriptsMayFail = False,
    json: Json = False,
) -> None:
    """Boot a clone on an isolated network, then remove it."""
    _deploy(
        json=json,
        machine=machine,
        source=source,
        destination=destination,
        options=options,
        name=name,
        rehearse=True,
        rehearsal_network=network,
        rehearsal_subnet=subnet,
        boot_timeout=boot_timeout,
        packages_folder=packages_folder,
        allow_unknown_os=allow_unknown_os,
        hardware=hardware,
        root_device=root_device,
        guest_secrets=guest_secrets,
        script=script,
        scripts_folder=scripts_folder,
        allow_script_failure=allow_script_failure,
    )


def _deploy(
    *,
    json: bool,
    packages_folder: Path | None,
    hardware: list[str] | None,
    script: list[str] | None,
    **asked: Any,
) -> None:
    from flows.deploy import deploy as flow  # noqa: PLC0415 - Prefect takes seconds to import
    from tradewind.model.requests import DeployRequest  # noqa: PLC0415

    request = DeployRequest(
        packages_folder=folder_of(packages_folder),
        hardware=parsing.hardware(hardware or []),
        scripts=scripts_of(script or []),
        **asked,
    )
    show(flow(request), deploy_markdown, json=json)


def scripts_of(words: Sequence[str]) -> tuple[Script, ...]:
    """Read PHASE=FILE; OptionError names a phase that there is not."""
    phases = {phase.folder: phase for phase in ScriptPhase}
    found = []
    for word in words:
        phase, _, path = word.partition("=")
        if phase not in phases or not path:
            raise OptionError(
                f"--script: “{word}” is no PHASE=FILE", f"phases are {', '.join(phases)}"
            )
        found.append(Script(phase=phases[phase], path=path))
    return tuple(found)
