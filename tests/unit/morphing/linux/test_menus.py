# SPDX-License-Identifier: Apache-2.0
"""What boot loaders start, how they are told to start something else, and command lines."""

from pathlib import Path

import pytest

from tests.fakes.chrooted import ChrootedGuest
from tests.unit.morphing import chroots
from tests.unit.morphing.chroots import NEW, OLD
from tradewind.errors import MorphingError
from tradewind.model.guest import Family, Layer, LayerKind, MorphOptions
from tradewind.morphing.linux.boot import commandline, menus
from tradewind.morphing.linux.steps import default_kernel, serial_console

OPTIONS = MorphOptions()
RED_HAT = chroots.on_lvm(Family.RED_HAT, "Red Hat Enterprise Linux 9.5")
XEN = "9.9.9-60-xen"

GRUB = f"""
if [ "${{next_entry}}" ] ; then
   set default="${{next_entry}}"
else
   set default="0"
fi
function gfxmode {{
	set gfxpayload="${{1}}"
}}
menuentry 'Linux' --class gnu $menuentry_id_option 'simple-uuid' {{
	search --no-floppy
	linux	/vmlinuz-{XEN} root=UUID=x ro quiet
	initrd	/initrd.img-{XEN}
}}
submenu 'Advanced options' $menuentry_id_option 'advanced-uuid' {{
	menuentry 'Linux, with Xen' $menuentry_id_option 'xen-uuid' {{
		linux	/vmlinuz-{XEN} root=UUID=x ro quiet
	}}
	menuentry 'Linux, with new' $menuentry_id_option 'new-uuid' {{
		linux	/vmlinuz-{NEW} root=UUID=x ro quiet
	}}
}}
menuentry "Memory test" {{
	linux16	/boot/memtest86+.bin
}}
"""
GRUBENV = f"# GRUB Environment Block\nsaved_entry=id-{XEN}\nkernelopts=root=UUID=x ro\n"
LEGACY = f"""default=0
timeout=5
title Linux (Xen)
	root (hd0,0)
	kernel /vmlinuz-{XEN} ro root=LABEL=/ console=hvc0 rhgb
	initrd /initrd-{XEN}.img
title Linux
	kernel /vmlinuz-{NEW} ro root=LABEL=/
"""
EXTLINUX = f"""DEFAULT xen
LABEL xen
	LINUX ../vmlinuz-{XEN}
	APPEND root=UUID=x ro
LABEL new
	LINUX ../vmlinuz-{NEW}
	APPEND root=UUID=x ro
"""


def entry(version: str, options: str = "root=UUID=x ro") -> str:
    return f"title Linux\nversion {version}\nlinux /vmlinuz-{version}\noptions {options}\n"


LOADERS = {
    "grub": {"/boot/grub/grub.cfg": GRUB, "/etc/default/grub": "GRUB_DEFAULT=0\n"},
    "grub saved": {
        "/boot/grub2/grub.cfg": GRUB.replace('"0"', '"${saved_entry}"'),
        "/boot/grub2/grubenv": "# GRUB Environment Block\n".ljust(1024, "#"),
    },
    "bls": {
        "/boot/grub2/grub.cfg": "insmod blscfg\nblscfg\n",
        "/boot/grub2/grubenv": GRUBENV.ljust(1024, "#"),
        f"/boot/loader/entries/id-{NEW}.conf": entry(NEW, "$kernelopts $tuned_params"),
        f"/boot/loader/entries/id-{XEN}.conf": entry(XEN),
    },
    "systemd-boot": {
        "/boot/efi/loader/loader.conf": "timeout 3\n#default x\n",
        f"/boot/efi/loader/entries/id-{NEW}.conf": entry(NEW),
        f"/boot/efi/loader/entries/id-{XEN}.conf": entry(XEN),
    },
    "grub 1": {"/boot/grub/menu.lst": LEGACY},
    "extlinux": {"/boot/extlinux/extlinux.conf": EXTLINUX},
}


def guest(tmp_path: Path, template: Path, loader: str, *versions: str) -> ChrootedGuest:
    files: dict[str, str | bytes] = dict(LOADERS[loader].items())
    for version in versions:
        files |= chroots.kernel(version)
    return chroots.guest(tmp_path, template, files)


@pytest.mark.parametrize("loader", LOADERS)
def test_a_kernel_without_virtio_is_not_the_default(
    tmp_path: Path, chroot_template: Path, loader: str
) -> None:
    made = guest(tmp_path, chroot_template, loader, NEW, XEN)
    outcome = default_kernel.apply(made, RED_HAT, OPTIONS)
    assert outcome.summary == f"{NEW} starts instead of {XEN}"
    assert default_kernel.apply(made, RED_HAT, OPTIONS).summary == f"{NEW} starts"
    for path in LOADERS[loader]:
        if path.endswith("grubenv"):
            assert len(made.read_text(path)) == 1024


@pytest.mark.parametrize(
    ("conf", "after"),
    [
        ("timeout 3\n", f"default abc-{NEW}.efi\ntimeout 3\n"),
        (f"default abc-{XEN}.efi\n", f"default abc-{NEW}.efi\n"),
        (f"default ABC-{NEW[:6]}*\n", ""),
    ],
)
def test_unified_images_are_entries_of_systemd_boot(
    tmp_path: Path, chroot_template: Path, conf: str, after: str
) -> None:
    files: dict[str, str | bytes] = {"/boot/efi/loader/loader.conf": conf}
    for version in (NEW, XEN):
        files |= chroots.kernel(version)
        del files[f"/boot/vmlinuz-{version}"]
        files[f"/boot/efi/EFI/Linux/abc-{version}.efi"] = b"MZ a kernel\0"
    made = chroots.guest(tmp_path, chroot_template, files)
    outcome = default_kernel.apply(made, RED_HAT, OPTIONS)
    assert outcome.changed is bool(after)
    assert made.read_text("/boot/efi/loader/loader.conf") == (after or conf)
    assert default_kernel.apply(made, RED_HAT, OPTIONS).summary == f"{NEW} starts"


def test_comments_of_a_command_line_stay_comments() -> None:
    text = "# ours\n\nroot=UUID=x ro\n"
    new = commandline.changed("/etc/kernel/cmdline", text, lambda line: f"{line} quiet")
    assert new == "# ours\n\nroot=UUID=x ro quiet\n"
    assert commandline.lines("/etc/kernel/cmdline", text) == ["root=UUID=x ro"]


def test_systemd_boot_is_told_the_whole_name_of_an_entry(
    tmp_path: Path, chroot_template: Path
) -> None:
    made = guest(tmp_path, chroot_template, "systemd-boot", NEW, XEN)
    default_kernel.apply(made, RED_HAT, OPTIONS)
    said = made.read_text("/boot/efi/loader/loader.conf")
    assert said == f"default id-{NEW}.conf\ntimeout 3\n#default x\n"


def test_grubs_next_update_keeps_the_choice(tmp_path: Path, chroot_template: Path) -> None:
    made = guest(tmp_path, chroot_template, "grub", NEW, XEN)
    default_kernel.apply(made, RED_HAT, OPTIONS)
    assert made.read_text("/etc/default/grub") == 'GRUB_DEFAULT="advanced-uuid>new-uuid"\n'
    assert 'set default="${next_entry}"' in made.read_text("/boot/grub/grub.cfg")


def test_no_kernel_for_virtio_is_refused(tmp_path: Path, chroot_template: Path) -> None:
    made = guest(tmp_path, chroot_template, "grub", XEN)
    with pytest.raises(MorphingError, match=f"can use VirtIO disks .{XEN} found"):
        default_kernel.apply(made, RED_HAT, OPTIONS)


def test_a_menu_without_the_kernel_is_refused(tmp_path: Path, chroot_template: Path) -> None:
    made = guest(tmp_path, chroot_template, "extlinux", OLD, XEN)
    with pytest.raises(MorphingError, match=f"has no entry for {OLD}"):
        default_kernel.apply(made, RED_HAT, OPTIONS)


def test_a_menu_we_cannot_read_is_told(tmp_path: Path, chroot_template: Path) -> None:
    made = chroots.guest(tmp_path, chroot_template, chroots.kernel(NEW))
    outcome = default_kernel.apply(made, RED_HAT, OPTIONS)
    assert not outcome.done
    assert NEW in outcome.remedy


@pytest.mark.parametrize(
    ("value", "name"),
    [("0", "simple-uuid"), ("1>1", "advanced-uuid>new-uuid"), ("1", "advanced-uuid>xen-uuid"),
     ("Memory test", "Memory test"), ("7", None)],
)  # fmt: skip
def test_grubs_defaults_are_followed(value: str, name: str | None) -> None:
    text = GRUB.replace('set default="0"', f'set default="{value}"')
    (menu,) = menus.read({"/boot/grub/grub.cfg": text})
    assert (menu.default and menu.default.name) == name


@pytest.mark.parametrize("loader", LOADERS)
def test_every_command_line_gets_the_console(
    tmp_path: Path, chroot_template: Path, loader: str
) -> None:
    made = guest(tmp_path, chroot_template, loader)
    outcome = serial_console.apply(made, RED_HAT, OPTIONS)
    assert outcome.done
    texts = {path: made.read_text(path) for path in LOADERS[loader]}
    for path, text in texts.items():
        for line in commandline.lines(path, text):
            assert line.endswith("console=tty0 console=ttyS0,115200")
            assert "hvc0" not in line
        assert "memtest86+.bin console" not in text
    assert not serial_console.apply(made, RED_HAT, OPTIONS).changed


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("GRUB_TIMEOUT=1", 'GRUB_TIMEOUT=1\nGRUB_CMDLINE_LINUX="{}"'),
        ('GRUB_CMDLINE_LINUX=""', 'GRUB_CMDLINE_LINUX="{}"'),
        ("GRUB_CMDLINE_LINUX='a b'", "GRUB_CMDLINE_LINUX='a b {}'"),
        ('GRUB_CMDLINE_LINUX="console=ttyS0"', 'GRUB_CMDLINE_LINUX="console=ttyS0"'),
        (
            'GRUB_CMDLINE_LINUX_DEFAULT="console=tty1 console=ttyS0"',
            'GRUB_CMDLINE_LINUX_DEFAULT="console=tty1 console=ttyS0"',
        ),
    ],
)
def test_later_kernels_get_it_too(
    tmp_path: Path, chroot_template: Path, before: str, after: str
) -> None:
    files = {"/etc/default/grub": before + "\n", "/etc/kernel/cmdline": "root=UUID=x ro\n"}
    made = ChrootedGuest(tmp_path / "guest", chroot_template, files)
    serial_console.apply(made, RED_HAT, OPTIONS)
    added = "console=tty0 console=ttyS0,115200"
    assert made.read_text("/etc/default/grub") == after.format(added) + "\n"
    assert made.read_text("/etc/kernel/cmdline") == f"root=UUID=x ro {added}\n"


def test_a_passphrase_is_still_asked_for_on_the_screen(
    tmp_path: Path, chroot_template: Path
) -> None:
    files = {"/boot/extlinux/extlinux.conf": "label l\nappend root=x console=tty0 ro\n"}
    made = ChrootedGuest(tmp_path / "guest", chroot_template, files)
    layer = Layer(kind=LayerKind.LUKS, name="c", uuid="u")
    encrypted = RED_HAT.model_copy(
        update={"filesystems": (RED_HAT.filesystems[0].model_copy(update={"layers": (layer,)}),)}
    )
    serial_console.apply(made, encrypted, OPTIONS)
    (line,) = commandline.lines("extlinux.conf", made.read_text("/boot/extlinux/extlinux.conf"))
    assert line == "root=x console=ttyS0,115200 console=tty0 ro"


def test_old_systems_get_a_login_prompt(tmp_path: Path, chroot_template: Path) -> None:
    inittab = (
        "1:2345:respawn:/sbin/mingetty tty1\n"
        "co:2345:respawn:/sbin/agetty xvc0 9600 vt100-nav\n#T0:23:respawn:/sbin/getty -L ttyS0\n"
    )
    files = LOADERS["grub 1"] | {"/etc/inittab": inittab, "/etc/securetty": "tty1\nxvc0\n"}
    made = ChrootedGuest(tmp_path / "guest", chroot_template, files)
    serial_console.apply(made, RED_HAT, OPTIONS)
    lines = made.read_text("/etc/inittab").splitlines()
    assert [line for line in lines if "xvc0" in line] == []
    assert lines[-1] == "S0:2345:respawn:/sbin/agetty -L 115200 ttyS0 vt102"
    assert made.read_text("/etc/securetty").splitlines()[-1] == "ttyS0"
    assert not serial_console.apply(made, RED_HAT, OPTIONS).changed


def test_without_a_boot_loader_that_is_told(tmp_path: Path, chroot_template: Path) -> None:
    made = ChrootedGuest(tmp_path / "guest", chroot_template, {})
    outcome = serial_console.apply(made, RED_HAT, OPTIONS)
    assert (outcome.changed, outcome.done) == (False, False)


def test_a_command_line_in_a_unified_image_is_told(tmp_path: Path, chroot_template: Path) -> None:
    files = {"/boot/efi/EFI/Linux/abc-6.12.efi": "a kernel", "/etc/kernel/cmdline": "root=UUID=x\n"}
    made = ChrootedGuest(tmp_path / "guest", chroot_template, files)
    outcome = serial_console.apply(made, RED_HAT, OPTIONS)
    assert (outcome.changed, outcome.done) == (True, False)
    assert outcome.summary == "the command line is inside a unified kernel image"
    assert "console=ttyS0" in made.read_text("/etc/kernel/cmdline")
