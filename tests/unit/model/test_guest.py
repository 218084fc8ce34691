# SPDX-License-Identifier: Apache-2.0
"""What can be asked of an inspected guest."""

import pytest

from tradewind.model.guest import Family, FileSystem, GuestOS, Layer, LayerKind, Mount

CONTAINER = Layer(kind=LayerKind.LUKS, name="secret", uuid="c0de")
VOLUME = Layer(kind=LayerKind.LVM, name="vg/root", uuid="abc-def", group="vg-uuid")


def guest() -> GuestOS:
    def found(device: str, partition: int, fstype: str = "ext4", *layers: Layer) -> FileSystem:
        return FileSystem(device=device, disk=0, partition=partition, fstype=fstype, layers=layers)

    return GuestOS(
        family=Family.DEBIAN,
        id="debian",
        version="12",
        pretty_name="Debian",
        mounts=(
            Mount(device="/dev/dm-1", path="/", fstype="ext4"),
            Mount(device="/dev/vdb1", path="/boot", fstype="ext4"),
        ),
        kernels=(),
        filesystems=(
            found("/dev/vdb1", 1),
            found("/dev/dm-1", 2, "ext4", VOLUME, CONTAINER),
            found("/dev/dm-2", 2, "swap", VOLUME, CONTAINER),
        ),
    )


@pytest.mark.parametrize(
    ("path", "device"),
    [("/", "/dev/dm-1"), ("/etc", "/dev/dm-1"), ("/boot", "/dev/vdb1"), ("/boot/x", "/dev/vdb1"),
     ("/bootleg", "/dev/dm-1")],
)  # fmt: skip
def test_a_path_lies_on_the_closest_mount(path: str, device: str) -> None:
    assert guest().file_system(path).device == device


def test_layers_are_named_from_above() -> None:
    assert guest().layers("/usr") == (VOLUME, CONTAINER)
    assert guest().layers("/boot/grub") == ()


def test_swap_devices_are_listed() -> None:
    assert [swap.device for swap in guest().swaps] == ["/dev/dm-2"]
