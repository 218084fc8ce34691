# SPDX-License-Identifier: Apache-2.0
"""The rule by which one root is chosen, on made-up trees."""

import pytest

from tradewind.errors import InspectionError
from tradewind.model.guest import FileSystem, Layer, LayerKind, Mount
from tradewind.morphing.linux import fstab, health, kernels, roots
from tradewind.morphing.linux.facts import FileSystemFacts
from tradewind.morphing.linux.roots import Candidates


def filesystem(partition: int, fstype: str = "ext4", *layers: Layer) -> FileSystem:
    return FileSystem(
        device=f"/dev/vdb{partition}", disk=0, partition=partition, fstype=fstype,
        uuid=f"u{partition}", layers=layers,
    )  # fmt: skip


def tree(
    on: FileSystem, subvolid: str = "", subvolume: str = "", name: str = "One", **facts: str
) -> FileSystemFacts:
    more = {"subvolume": subvolume} if subvolume else {}
    return FileSystemFacts(on, subvolid, {"os-release": f"PRETTY_NAME='{name}'\n", **more, **facts})


def choose(
    *trees: FileSystemFacts, wanted: str = "", snapshots: tuple[str, ...] = ()
) -> roots.Root:
    filesystems = list({t.filesystem.device: t.filesystem for t in trees}.values())
    return roots.choose(Candidates(trees, filesystems, frozenset(snapshots)), wanted)


def test_a_copy_names_the_original() -> None:
    line = "UUID=u1 / ext4 defaults 0 1\n"
    original, copy = tree(filesystem(1), fstab=line), tree(filesystem(2), fstab=line)
    assert choose(copy, original).tree is original


def test_a_snapshot_tools_default_subvolume_is_the_root() -> None:
    btrfs = filesystem(1, "btrfs")
    line = "UUID=u1 / btrfs defaults 0 0\nUUID=u1 /var btrfs subvol=/@/var 0 0\n"
    top = FileSystemFacts(
        btrfs, "", {"default": "ID 266 gen 9 top level 265 path @/.snapshots/1/snapshot"}
    )
    root = tree(btrfs, "266", "@/.snapshots/1/snapshot", fstab=line)
    copy = tree(btrfs, "300", "backup", fstab=line)
    assert choose(top, copy, root).tree is root


@pytest.mark.parametrize("option", ["subvol=@", "subvol=/@", "subvolid=256", "x=y,subvol=/@"])
def test_fstab_names_the_subvolume(option: str) -> None:
    btrfs = filesystem(1, "btrfs")
    line = f"UUID=u1 / btrfs {option} 0 0\n"
    root, copy = tree(btrfs, "256", "@", fstab=line), tree(btrfs, "300", "@old", fstab=line)
    assert choose(root, copy).tree is root


def test_two_roots_are_told_with_how_to_choose() -> None:
    both = [tree(filesystem(n), name=f"OS {n}", fstab=f"UUID=u{n} / ext4 rw 0 1\n") for n in (1, 2)]
    with pytest.raises(InspectionError) as caught:
        choose(*both)
    assert caught.value.message.endswith(
        "OS 1 on partition 1 of disk 1 (root_device UUID=u1); "
        "OS 2 on partition 2 of disk 1 (root_device UUID=u2)"
    )
    assert choose(*both, wanted="UUID=u2").tree is both[1]
    assert choose(*both, wanted="/dev/sda1").tree is both[0]
    with pytest.raises(InspectionError, match="root_device UUID=none is no root") as caught:
        choose(*both, wanted="UUID=none")
    assert "OS 1 on partition 1" in caught.value.hint


def test_a_subvolume_is_chosen_in_brackets() -> None:
    btrfs = filesystem(1, "btrfs")
    both = [tree(btrfs, n, s, fstab=f"UUID=u1 / btrfs subvol={s} 0 0\n")
            for n, s in (("256", "@"), ("257", "@b"))]  # fmt: skip
    with pytest.raises(InspectionError, match=r"root_device UUID=u1\[/@b\]"):
        choose(*both)
    assert choose(*both, wanted="UUID=u1[/@b]").tree is both[1]


def test_a_snapshot_of_a_volume_is_no_root() -> None:
    line = "UUID=u1 / ext4 defaults 0 1\n"
    original = tree(filesystem(1), fstab=line)
    twin = filesystem(2).model_copy(update={"uuid": "u1"})
    assert choose(original, tree(twin, fstab=line), snapshots=("/dev/vdb2",)).tree is original


def test_a_container_is_known_by_the_guests_own_name() -> None:
    luks = Layer(kind=LayerKind.LUKS, name="", uuid="beef", device="/dev/dm-0")
    inside = tree(
        filesystem(1, "ext4", luks),
        fstab="/dev/mapper/tresor / ext4 rw 0 1\n",
        crypttab="tresor UUID=BEEF none luks\n",
    )
    other = tree(filesystem(2), fstab="UUID=gone / ext4 rw 0 1\n")
    assert choose(other, inside).tree is inside


def test_a_usr_of_its_own_names_the_system() -> None:
    usr = FileSystemFacts(filesystem(2), "", {"usr-os-release": "ID=fedora\nPRETTY_NAME=Split\n"})
    root = FileSystemFacts(
        filesystem(1), "", {"fstab": "UUID=u1 / ext4 rw 0 1\nUUID=u2 /usr ext4 rw 0 2\n"}
    )
    chosen = choose(usr, root)
    assert chosen.tree is root
    assert chosen.usr is usr
    assert chosen.os_release["ID"] == "fedora"


def test_words_of_the_guest_cannot_act_in_a_terminal() -> None:
    evil = tree(filesystem(1), name="red \x1b[31m" + "x" * 500)
    said = str(choose(evil))
    assert "\x1b" not in said
    assert len(said) < 200


@pytest.mark.parametrize(
    "path", ["/var/../../../etc", "/boot/../../root/.ssh", "/usr/\x00x", "/opt/.."]
)
def test_no_path_of_an_fstab_leads_out(path: str) -> None:
    disks = fstab.FstabDisks([filesystem(2)])
    top = Mount(device="/dev/vdb1", path="/", fstype="ext4")
    with pytest.raises(InspectionError, match="no plain path"):
        fstab.system_mounts(f"UUID=u2 {path} ext4 rw 0 2\n", top, disks)


def test_options_of_the_guest_do_not_reach_mount() -> None:
    line = "UUID=u2 /var btrfs dev,suid,exec,subvol=@var,x-systemd.requires=/boot 0 0\n"
    top = Mount(device="/dev/vdb1", path="/", fstype="ext4")
    found = fstab.system_mounts(line, top, fstab.FstabDisks([filesystem(2, "btrfs")]))
    assert found.mounts[1].options == "subvol=@var"


def test_two_file_systems_of_one_uuid_are_not_guessed() -> None:
    twins = [filesystem(2), filesystem(3).model_copy(update={"uuid": "u2"})]
    top = Mount(device="/dev/vdb1", path="/", fstype="ext4")
    with pytest.raises(InspectionError, match="could be partition 2 of disk 1, partition 3"):
        fstab.system_mounts("UUID=u2 /boot ext4 rw 0 2\n", top, fstab.FstabDisks(twins))


def test_damage_is_told_all_at_once_and_a_dirty_journal_is_normal() -> None:
    features = "Filesystem features: has_journal"
    trees = [
        tree(filesystem(1), **{"in-use": "yes"}, super=f"{features}\nFilesystem state: clean\n"),
        tree(filesystem(2), super=f"{features}\nFilesystem state: clean with errors\n"),
        tree(filesystem(3, "xfs"), unreadable="structure needs cleaning"),
        tree(filesystem(4), super="Filesystem features: dir_index\nFilesystem state: not clean\n"),
        tree(filesystem(5), unreadable="nobody mounts it"),
    ]
    paths = ("/", "/var", "/opt", "/boot")
    mounts = [
        Mount(device=t.filesystem.device, path=path, fstype="ext4")
        for t, path in zip(trees, paths, strict=False)
    ]
    with pytest.raises(InspectionError, match=r"/var .* repaired; /opt .*needs cleaning"):
        health.refuse_damaged(trees, mounts)
    notes = list(health.notes(trees, mounts))
    assert notes[0].startswith("/ was in use when it was copied; its journal")
    assert notes[1].startswith("/boot was in use when it was copied and has no journal")
    assert [health.needs_check(t) for t in trees] == [False, False, False, True, False]


def test_a_swap_file_may_hold_the_memory() -> None:
    with pytest.raises(InspectionError, match=r"swap file /swap\.img holds its memory"):
        health.refuse_hibernated((), tree(filesystem(1), hibernated="/swap.img\n"))


@pytest.mark.parametrize(
    ("boot", "entries", "modules", "image"),
    [
        ("1 vmlinuz-6.1\n1 vmlinux-6.1\n", "", "no 6.1\n", "/boot/vmlinuz-6.1"),
        ("1 Image-6.1\n", "", "vmlinuz 6.1\n", "/boot/Image-6.1"),
        ("", f"{'a' * 32}/6.1/linux\n", "no 6.1\n", f"/boot/{'a' * 32}/6.1/linux"),
        ("", "", "vmlinuz 6.1\n", "/usr/lib/modules/6.1/vmlinuz"),
    ],
)
def test_kernels_are_found_under_every_name(
    boot: str, entries: str, modules: str, image: str
) -> None:
    root = tree(filesystem(1), boot=boot, modules=modules, **{"boot-entries": entries})
    (found,) = kernels.bootable(root, None, ())
    assert (found.version, found.image) == ("6.1", image)


def test_no_version_becomes_an_option_or_a_path() -> None:
    modules = "no -rf\nno ../6\nno 6 $(x)\nno 6.1\n"
    boot = "1 vmlinuz--rf\n1 vmlinuz-6 $(x)\n1 vmlinuz-6.1\n"
    root = tree(filesystem(1), boot=boot, modules=modules)
    assert [kernel.version for kernel in kernels.bootable(root, None, ())] == ["6.1"]
