# SPDX-License-Identifier: Apache-2.0
"""Rebuild the initial RAM disk of every kernel with the VirtIO drivers."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from tradewind.errors import MorphingError
from tradewind.model.guest import ChrootAccess, GuestOS, MorphOptions, Outcome
from tradewind.morphing import backup
from tradewind.morphing.linux.boot import builders, devices, kernel_install, kernels, unified
from tradewind.morphing.linux.boot.builders import Builder, ImageContents
from tradewind.morphing.linux.boot.kernels import TIMEOUT, KernelVersion, RootStack
from tradewind.morphing.linux.boot.unified import UnifiedImageBuilder
from tradewind.morphing.linux.network import name_pins
from tradewind.morphing.tree import tail
from tradewind.ports import GuestTree
from tradewind.shell_programs import program
from tradewind.units import MiB

# Files that images carry. Whatever else steps change is read after the root is mounted.
_CARRIED: Final = (
    "/etc/crypttab",
    "/etc/initramfs-tools",
    "/etc/lvm",
    "/etc/mdadm",
    "/etc/mdadm.conf",
    "/etc/modprobe.conf",
    "/etc/modprobe.d",
    "/etc/multipath",
    "/etc/multipath.conf",
)
_OUTDATED: Final = program(__file__, "images_outdated.sh")
_ROOM: Final = program(__file__, "image_room.sh")
_RESTORE: Final = 'cp -p "$1" "$2.tradewind-new" && mv -f "$2.tradewind-new" "$2"'
# More than any image that was built here needed when there was none before.
_FIRST_IMAGE: Final = 64 * MiB
# Where an image that only goes into a unified one is made.
_FOR_UNIFIED: Final = f"{backup.FOLDER}/initrd-for-unified-"


@dataclass(slots=True)
class _Work:
    """What was found, and what came of it."""

    os: GuestOS
    fit: tuple[KernelVersion, ...]
    stack: RootStack
    outdated: dict[str, list[str]]
    rebuilt: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)

    def stale(self) -> tuple[KernelVersion, ...]:
        return tuple(k for k in self.fit if self.lacking(k) or self.changes(k))

    def lacking(self, kernel: KernelVersion) -> list[str]:
        """Drivers and programs that an image lacks; also names of disks that stay."""
        names = ["lasting names of disks"] if unified.renamed(kernel, self.os) else []
        return [*kernel.lacking(self.stack), *names]

    def changes(self, kernel: KernelVersion) -> list[str]:
        """Files that were changed since one of its images was built."""
        return [path for image in kernel.images for path in self.outdated.get(image, [])]


def applies_to(os: GuestOS, options: MorphOptions) -> bool:
    """Every Linux system starts from one, or has all drivers in its kernel."""
    return True


def apply(guest: GuestTree, os: GuestOS, options: MorphOptions) -> Outcome:
    """Tell the builder which drivers to add, rebuild, and look into the images again."""
    found = kernels.survey(guest)
    first = kernels.best(found)
    if first is None:
        raise MorphingError(
            f"no kernel of {os.pretty_name} can use VirtIO disks "
            f"({', '.join(k.version for k in found) or 'none'} found in /boot)",
            "install the distribution's standard kernel on the source, and transfer again",
        )
    fit = tuple(kernel for kernel in found if not kernel.unfit)
    images = [image for kernel in fit for image in kernel.images]
    work = _Work(os, fit, kernels.stack(guest, os), _outdated(guest, images))
    stale = work.stale()
    if stale:
        builder = builders.find(guest, os)
        builder.prepare(guest, _contents(stale, work.stack))
        kernel_install.keep_command_line(guest, first, os)
        for kernel in sorted(stale, key=lambda kernel: kernel is not first):
            _rebuild(guest, builder, kernel, work, vital=kernel is first)
    return _outcome(work, stale, found)


def _contents(stale: Sequence[KernelVersion], stack: RootStack) -> ImageContents:
    drivers = dict.fromkeys(d for kernel in stale for d in kernel.loadable(stack))
    parameters = {parameter for kernel in stale for parameter in kernel.parameters}
    return ImageContents(tuple(drivers), stack, tuple(sorted(parameters)))


def _outdated(guest: GuestTree, images: Sequence[str]) -> dict[str, list[str]]:
    arguments = [backup.FOLDER, name_pins.OUR_LINKS, " ".join(_CARRIED), *images]
    said = guest.run(["sh", "-c", _OUTDATED, "sh", *arguments])
    outdated: dict[str, list[str]] = {}
    for line in said.stdout.splitlines():
        image, _, path = line.partition("\t")
        outdated.setdefault(image, []).append(path)
    return outdated


def _rebuild(
    guest: GuestTree, builder: Builder, kernel: KernelVersion, work: _Work, *, vital: bool
) -> None:
    """Rebuild one kernel's images; the old ones are back when that, or the proof, fails."""
    old = list(kernel.images)
    for image in old:
        backup.keep(guest, image)
    try:
        unifier = _unifier(guest, kernel, work)
        for image in kernel.plain or ([] if unifier else [builder.image(kernel.version)]):
            _build(guest, builder.name, kernel, image, builder.command(kernel, image))
        if unifier:
            _unify(guest, builder, unifier, kernel, work)
        _prove(guest, kernel, work)
    except MorphingError as error:
        for image in old:
            guest.run(["sh", "-c", _RESTORE, "sh", backup.FOLDER + image, image], timeout=300)
        if vital:
            raise
        work.failed[kernel.version] = error.message.splitlines()[0]
        return
    work.rebuilt.append(kernel.version)


def _unifier(guest: GuestTree, kernel: KernelVersion, work: _Work) -> UnifiedImageBuilder | None:
    """Find what makes unified images, before anything is built; None where there are none."""
    if not kernel.unified:
        return None
    lacking = ", ".join(work.lacking(kernel))
    why = f"without {lacking}" if lacking else f"with an old {', '.join(work.changes(kernel))}"
    return unified.find(guest, kernel, why)


def _unify(
    guest: GuestTree,
    builder: Builder,
    unifier: UnifiedImageBuilder,
    kernel: KernelVersion,
    work: _Work,
) -> None:
    initrd = next(iter(kernel.plain), f"{_FOR_UNIFIED}{kernel.version}")
    try:
        if unifier.needs_initrd and not kernel.plain:
            _build(guest, builder.name, kernel, initrd, builder.command(kernel, initrd))
        for image in kernel.unified:
            line = unified.command_line(kernel.commands.get(image, ""), work.os)
            argv = unifier.command(kernel, image, initrd, line)
            _build(guest, unifier.program, kernel, image, argv)
    finally:
        if not kernel.plain and guest.exists(initrd):
            guest.remove(initrd)


def _build(
    guest: GuestTree, maker: str, kernel: KernelVersion, image: str, argv: Sequence[str]
) -> None:
    free, size = (int(n) for n in guest.run(["sh", "-c", _ROOM, "sh", image]).stdout.split())
    needed = size * 5 // 4 if size else _FIRST_IMAGE
    if free < needed:
        raise MorphingError(
            f"{image} cannot be rebuilt: {free // MiB} MiB are free beside it, "
            f"{needed // MiB + 1} MiB are needed",
            "remove old kernels on the source, and transfer again",
        )
    done = guest.run(argv, timeout=TIMEOUT, check=False, reach=ChrootAccess.DISKS)
    if done.status != 0:
        raise MorphingError(
            f"{maker} could not build the image of {kernel.version}\n{tail(done)}",
            f"mend what it says on the source until `{maker}` succeeds, transfer again",
        )


def _prove(guest: GuestTree, kernel: KernelVersion, work: _Work) -> None:
    after = kernels.survey(guest, [kernel.version])
    lacking = work.lacking(after[0]) if after else kernel.loadable(work.stack)
    if lacking:
        raise MorphingError(
            f"the rebuilt image of {kernel.version} still lacks {', '.join(lacking)}",
            "look into the builder's configuration on the source for what leaves them out",
        )
    for image, text in kernel.commands.items():
        wanted = unified.command_line(text, work.os)
        if after[0].commands.get(image, "").split() != wanted.split():
            raise MorphingError(
                f"{image} was rebuilt with another command line than {wanted!r}",
                f"look at {unified.CMDLINE} and ukify's configuration on the source",
            )


def _outcome(
    work: _Work, stale: Sequence[KernelVersion], found: Sequence[KernelVersion]
) -> Outcome:
    remedy = "; ".join(_remedies(work, found))
    if not work.rebuilt:
        return Outcome(changed=False, summary="the drivers are in every image", remedy=remedy)
    rebuilt = [kernel for kernel in stale if kernel.version in work.rebuilt]
    added = sorted({name for kernel in rebuilt for name in work.lacking(kernel)})
    changed = sorted({path for kernel in rebuilt for path in work.changes(kernel)})
    what = [f"added {', '.join(added)}"] if added else []
    what += [f"renewed {', '.join(changed)}"] if changed else []
    summary = f"{' and '.join(what)} in the images of {', '.join(work.rebuilt)}"
    return Outcome(changed=True, summary=summary, remedy=remedy)


def _remedies(work: _Work, found: Sequence[KernelVersion]) -> Iterator[str]:
    unfit = [kernel.version for kernel in found if kernel.unfit]
    if unfit:
        verb = "has" if len(unfit) == 1 else "have"
        yield f"{', '.join(unfit)} {verb} no VirtIO drivers and cannot be booted any more"
    for kernel in work.fit:
        for image, name in unified.left(kernel, work.os):
            yield f"{image} names {name}, {devices.reason(name, work.os)}: look at it"
    for version, reason in work.failed.items():
        yield f"{version} keeps its old image and may not start: {reason}"
