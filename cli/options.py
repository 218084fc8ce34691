# SPDX-License-Identifier: Apache-2.0
"""Arguments and options that several commands take."""

from typing import Annotated

import typer

from cli import completion
from tradewind.model.deploy_options import OnBootFailure
from tradewind.model.hardware import Hardware

Replace = Annotated[bool, typer.Option("--replace", help="Replace what has this name.")]
EndpointName = Annotated[
    str, typer.Argument(help="Name of the block.", autocompletion=completion.endpoints)
]
ImagesName = Annotated[
    str, typer.Argument(help="Name of the block.", autocompletion=completion.image_folders)
]
SourceBandwidthLimit = Annotated[
    int | None,
    typer.Option(help="Bandwidth limit in Mbit/s, for all transfers from this host together."),
]
Machine = Annotated[
    str,
    typer.Argument(
        help="Name or UUID of the machine on its source.", autocompletion=completion.machines
    ),
]
Source = Annotated[
    str,
    typer.Option("--from", help="Block of the source.", autocompletion=completion.sources),
]
Destination = Annotated[
    str,
    typer.Option(
        "--to", help="Endpoint block of the destination.", autocompletion=completion.endpoints
    ),
]
Options = Annotated[
    str,
    typer.Option(
        "--options",
        help="Block of the provider options.",
        autocompletion=completion.option_blocks,
    ),
]
Images = Annotated[bool, typer.Option("--images", help="The source is a disk image block.")]
Word = Annotated[
    str,
    typer.Argument(
        metavar="NAME|MACHINE",
        help="Saved transfer; or, with --from and --to, a machine.",
        autocompletion=completion.transfers_and_machines,
    ),
]
OptionalSource = Annotated[
    str | None,
    typer.Option("--from", help="Block of the source.", autocompletion=completion.sources),
]
OptionalDestination = Annotated[
    str | None,
    typer.Option(
        "--to", help="Endpoint block of the destination.", autocompletion=completion.endpoints
    ),
]
StoragePools = Annotated[
    list[str] | None,
    typer.Option(
        "--storage",
        help="DISK=POOL, backend:OLDPOOL=POOL for all disks of a pool or folder of the source, or"
        " a POOL for all others; repeatable.",
    ),
]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", help="OPTION=VALUE: override a provider option; repeatable."),
]
TrackChanges = Annotated[
    bool,
    typer.Option(help="Keep a checkpoint on the source, so that the next run reads changes only."),
]
BandwidthLimit = Annotated[int | None, typer.Option(help="Bandwidth limit in Mbit/s.")]
Networks = Annotated[
    list[str] | None,
    typer.Option(
        "--network",
        help="SOURCE=DESTINATION or MAC=DESTINATION, or a default for all; repeatable. Destinations"
        " are LAN, network:LAN/PORTGROUP, bridge:BR0 and ovs:BR-INT?vlan=42.",
    ),
]
HardwareChoices = Annotated[
    list[str] | None,
    typer.Option(
        "--hardware",
        help=f"NAME=VALUE; repeatable. Names: {', '.join(Hardware.model_fields)}"
        " (docs/howto/choose-the-hardware.md).",
    ),
]
EvenIfUsed = Annotated[bool, typer.Option("--force", help="Also when saved transfers use it.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]

Names = Annotated[
    list[str] | None,
    typer.Option(
        "--name",
        help="Name or UUID of a machine; repeatable.",
        autocompletion=completion.machines,
    ),
]
Patterns = Annotated[
    list[str] | None, typer.Option("--pattern", help="Pattern such as 'web-*'; repeatable.")
]
Tags = Annotated[list[str] | None, typer.Option("--tag", help="Tag of the machines; repeatable.")]
Limit = Annotated[int, typer.Option(help="Number of machines at a time.")]
LagWarning = Annotated[
    int | None, typer.Option(help="Lag in minutes after which a replica counts as late.")
]
OnFailure = Annotated[
    OnBootFailure,
    typer.Option("--on-boot-failure", help="What to do with a machine that does not boot."),
]
RootDevice = Annotated[
    str,
    typer.Option(
        "--root-device",
        help="Root file system to choose among several: UUID=…, LABEL=…, /dev/VG/LV.",
    ),
]
Secrets = Annotated[
    str,
    typer.Option("--guest-secrets", help="Block with the passphrases of encrypted guest disks."),
]
ScriptFiles = Annotated[
    list[str] | None,
    typer.Option("--script", help="PHASE=FILE: before-mount, after-mount or first-boot."),
]
ScriptsFolder = Annotated[
    str | None, typer.Option("--scripts-folder", help="Folder of scripts, by family of guests.")
]
ScriptsMayFail = Annotated[
    bool, typer.Option("--allow-script-failure", help="Continue when a script fails.")
]
