# SPDX-License-Identifier: Apache-2.0
"""How a machine shall arrive on its destination, by a deployment or at the end of a move."""

from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, model_validator

from tradewind.errors import OptionError
from tradewind.model.form import Folded
from tradewind.model.hardware import Hardware
from tradewind.model.network import NetworkMap
from tradewind.model.record import Record
from tradewind.model.scripts import Script


class OnBootFailure(StrEnum):
    """What becomes of a machine that does not prove its boot."""

    KEEP = "keep"
    STOP = "stop"
    REMOVE = "remove"


Networks = Annotated[NetworkMap, Folded("networks of the same names")]
HardwareWishes = Annotated[Hardware, Folded("as on the source")]


class DeployOptions(Record, title="choices of its own"):
    """The new machine's name, networks and hardware, and what becomes of its guest."""

    name: str | None = Field(
        None,
        title="Name of the new machine",
        description="Left empty: the name it has on its source.",
    )
    network_map: Networks = Field(
        default_factory=NetworkMap,
        title="Network map",
        description="What each NIC is plugged into on the destination.",
    )
    hardware: HardwareWishes = Field(
        default_factory=Hardware,
        title="Hardware",
        description="Machine type, firmware, buses and the like, where they shall not be as on the "
        "source or as Tradewind chooses them.",
    )
    clone_disks: bool = Field(
        True,
        title="Clone the disks",
        description="Keep the replica, so that the deployment can be repeated. Without a clone "
        "it is faster, the replica is used up, and the next transfer is full.",
    )
    skip_os_morphing: bool = Field(
        False,
        title="Skip OS morphing",
        description="Leave the guest's operating system as it is.",
    )
    packages_folder: str = Field(
        "",
        title="Folder of packages",
        description="A folder on the controller with packages for guests whose own repositories "
        "cannot be reached, as `tradewind packages prepare` fills it.",
    )
    allow_unknown_os: bool = Field(
        False,
        title="Allow unknown systems",
        description="Adapt a Linux distribution that is not known, as far as that can be done "
        "without its package system, instead of refusing it.",
    )
    root_device: str = Field(
        "",
        title="Root device",
        description="Which of several operating systems on the disks is meant, named as fstab "
        "does: UUID=…, LABEL=…, /dev/VG/LV, /dev/sdb2; a btrfs subvolume follows in brackets: "
        "UUID=…[/@]. Left empty: the only one there is.",
    )
    guest_secrets: str = Field(
        "",
        title="Guest secrets",
        description="Name of a block “Tradewind Guest Secrets” with the passphrases of the "
        "machine's encrypted disks, and its console's VNC password. Left empty: there are none.",
    )
    boot_timeout: int = Field(
        600,
        ge=1,
        title="Boot time limit",
        description="Seconds until a machine that has not proven its boot counts as failed.",
    )
    on_boot_failure: OnBootFailure = Field(
        OnBootFailure.REMOVE,
        title="When the boot fails",
        description="keep: the machine goes on running as it is, to be looked at; stop: it is "
        "shut off and kept; remove: everything that was made is removed. At the end of a move "
        "keep means stop, since the machine is then started again on its source.",
    )
    scripts: tuple[Script, ...] = Field(
        (),
        title="Scripts",
        description="Scripts of your own for this machine, after those of the scripts folder.",
    )
    scripts_folder: str | None = Field(
        None,
        title="Scripts folder",
        description="Folder with scripts for all guests of a family, on the machine that runs the "
        "flow: linux/after-mount/10-name, debian/first-boot/20-name and so on.",
    )
    allow_script_failure: bool = Field(
        False,
        title="Scripts may fail",
        description="Go on when a script fails or takes too long; the report says so.",
    )

    @model_validator(mode="after")
    def _has_a_guest_for_its_scripts(self) -> Self:
        if self.skip_os_morphing and (self.scripts or self.scripts_folder):
            raise OptionError(
                "scripts: with skip_os_morphing the guest is not touched, so nothing runs them",
                "leave one of the two out",
            )
        return self


FoldedDeployOptions = Annotated[DeployOptions, Folded("as it is on its source")]


def with_old_names(values: object) -> object:
    """Take `landing`, as the field was called up to 0.1, for `deploy_options`; until 0.3."""
    if isinstance(values, dict) and "landing" in values and "deploy_options" not in values:
        return {"deploy_options" if name == "landing" else name: values[name] for name in values}
    return values
