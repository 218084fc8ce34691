# SPDX-License-Identifier: Apache-2.0
"""Unified kernel images: kernel, initial RAM disk and command line in one file of the ESP.

Format: UAPI group, specification 5. They are made anew by what the guest has, ukify(1) or
`dracut --uefi`, with the command line that the old one had.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from tradewind.errors import MorphingError
from tradewind.model.guest import GuestOS
from tradewind.morphing import files
from tradewind.morphing.linux.boot import consoles, devices
from tradewind.morphing.linux.boot.kernels import KernelVersion
from tradewind.ports import GuestTree
from tradewind.shell_programs import program

CMDLINE: Final = "/etc/kernel/cmdline"
_UKIFY_CONF: Final = "/etc/kernel/uki.conf"
_UNIFY: Final = program(__file__, "unify.sh")
_FIND: Final = program(__file__, "find_unified_builders.sh")
# A signing key of the guest's own, SecureBootPrivateKey= or SecureBootCertificateName=: ukify(1).
_KEY: Final = "SecureBoot"


@dataclass(frozen=True, slots=True)
class UnifiedImageBuilder:
    """What makes unified images in this guest, and whether it signs them."""

    program: str
    signs: bool

    @property
    def needs_initrd(self) -> bool:
        """Whether it is given an initial RAM disk; else it makes that itself."""
        return self.program == "ukify"

    def command(self, kernel: KernelVersion, image: str, initrd: str, line: str) -> list[str]:
        """Say how an image is made in its place."""
        if self.program == "dracut":
            return [
                "dracut", "--force", "--uefi", "--kernel-cmdline", line, image, kernel.version
            ]  # fmt: skip
        return ["sh", "-c", _UNIFY, "sh", image, _kernel_file(kernel), initrd, kernel.version, line]


def find(guest: GuestTree, kernel: KernelVersion, why: str) -> UnifiedImageBuilder:
    """Choose what can make the images of a kernel anew; MorphingError says what is in the way."""
    image = kernel.unified[0]
    found = guest.run(["sh", "-c", _FIND]).stdout.split()
    signs = _KEY in files.read(guest, _UKIFY_CONF).get(_UKIFY_CONF, "") and "ukify" in found
    if kernel.signed and not signs:
        raise MorphingError(
            f"{image} has kernel and initial RAM disk in one file, {why}, and is signed with a key"
            " that the guest does not have",
            "let its maker build it with them, or start the guest from an image of its own, and"
            " transfer again",
        )
    if not found:
        raise MorphingError(
            f"{image} has kernel and initial RAM disk in one file, {why}, and nothing in the guest"
            " can make it anew",
            "install ukify (systemd-ukify) on the source, or build it with them there, and"
            " transfer again",
        )
    return UnifiedImageBuilder(found[0], signs)


def command_line(text: str, os: GuestOS) -> str:
    """Name devices in a command line by what stays, and let the kernel write to ttyS0."""
    return consoles.with_serial(_renamed(text, os), screen_last=consoles.asks_on_screen(os))


def renamed(kernel: KernelVersion, os: GuestOS) -> list[str]:
    """List the images of a kernel whose command line names a device that changes."""
    return [image for image, text in kernel.commands.items() if _renamed(text, os) != text]


def _renamed(text: str, os: GuestOS) -> str:
    return devices.renamed(CMDLINE, text, os)


def left(kernel: KernelVersion, os: GuestOS) -> Iterator[tuple[str, str]]:
    """List images with names in them that change, and for which nothing is known that stays."""
    for image, text in kernel.commands.items():
        for name in devices.left(CMDLINE, command_line(text, os)):
            yield image, name


def _kernel_file(kernel: KernelVersion) -> str:
    own = (path for path in kernel.paths if not path.endswith(".efi"))
    return next(own, f"/lib/modules/{kernel.version}/vmlinuz")
