# SPDX-License-Identifier: Apache-2.0
"""Guests of the Red Hat and SUSE families, with what rpm, dnf and zypper really print.

The words are those of rpm 4.18, dnf 4.14 and zypper 1.14, as they came.
"""

from collections.abc import Mapping, Sequence
from fnmatch import fnmatch
from pathlib import Path

from tests.fakes.guest_tree import FakeGuestTree, completed
from tradewind.errors import LateError
from tradewind.ports import Completed

CLOUD_UNITS = ("cloud-init-local", "cloud-init", "cloud-config", "cloud-final")
DNF_UNREACHABLE = """\
Errors during downloading metadata for repository 'far':
  - Curl error (6): Couldn't resolve host name for http://nowhere.invalid/x/repodata/repomd.xml
Error: Failed to download metadata for repo 'far': Cannot download repomd.xml
Ignoring repositories: far
No match for argument: {0}
Error: Unable to find a match: {0}
"""
ZYPPER_UNREACHABLE = """\
Download (curl) error for 'http://nowhere.invalid/x/repodata/repomd.xml':
Error code: Connection failed
Error message: Could not resolve host: nowhere.invalid
Warning: Skipping repository 'far' because of the above error.
'{0}' not found in package names. Trying capabilities.
No provider of '{0}' found.
"""
DNF_NOT_FOUND = "No match for argument: {0}\nError: Unable to find a match: {0}\n"
ZYPPER_NOT_FOUND = "'{0}' not found in package names.\nNo provider of '{0}' found.\n"


class FakeRpmGuest(FakeGuestTree):
    """`table` is rpm's: names and full names, as there may be several of one name.

    `repositories` is what can be had, with what each needs; `unreachable` and `late` spoil it.
    `half` are packages that an attempt enters before it fails.
    """

    def __init__(self, root: Path, program: str, files: Mapping[str, str]) -> None:
        super().__init__(root, {f"/usr/bin/{program}": "", **files})
        self.program = program
        self.table = [("bash", "bash-5.2-1.x86_64"), ("gpg-pubkey", "gpg-pubkey-1-2.(none)")]
        self.repositories: dict[str, tuple[str, ...]] = {
            "cloud-init": ("python3-configobj",),
            "qemu-guest-agent": (),
        }
        self.dependents: dict[str, str] = {}
        self.unreachable = False
        self.late = False
        self.half: tuple[str, ...] = ()
        self.unit_states: dict[str, str] = {}
        self.on("rm -f /var/lib/rpm/__db", completed)
        self.on("rpm -q ", self._query)
        self.on("rpm -qa", self._list)
        self.on("rpm -e", self._erase)
        self.on("rpm -qlp", completed)
        self.on("-exec rm -f", completed)
        self.on(f"{program} -", self._program)
        self.on("systemctl list-unit-files", self._unit_files)
        self.on("systemctl enable", self._enable)
        self.on("systemctl unmask", completed)

    @property
    def names(self) -> set[str]:
        return {name for name, _ in self.table}

    def enter(self, name: str, version: str = "1.0-1") -> None:
        self.table.append((name, f"{name}-{version}.noarch"))
        units: tuple[str, ...] = ()
        if name == "cloud-init":
            units = CLOUD_UNITS
        if name == "qemu-guest-agent":
            units = ("qemu-guest-agent",)
        self.unit_states |= {f"{unit}.service": "enabled" for unit in units}

    def _query(self, argv: Sequence[str]) -> Completed:
        missing = [name for name in argv[2:] if name not in self.names]
        words = "".join(f"package {name} is not installed\n" for name in missing)
        return completed(argv, len(missing), words)

    def _list(self, argv: Sequence[str]) -> Completed:
        patterns = argv[4:] or ["*"]
        lines = [f"{n}\t{v}\n" for n, v in self.table if any(fnmatch(n, p) for p in patterns)]
        return completed(argv, 0, "".join(lines))

    def _erase(self, argv: Sequence[str]) -> Completed:
        named = {word for word in argv[2:] if not word.startswith("--")}
        needed = [(n, d) for n, d in self.dependents.items() if n in named and d in self.names]
        if needed and "--nodeps" not in argv:
            lines = [f"\t{n} is needed by (installed) {d}-1.0-1.noarch\n" for n, d in needed]
            words = "error: Failed dependencies:\n" + "".join(lines)
            return Completed(tuple(argv), len(needed), "", words)
        if "--test" not in argv:
            self.table = [pair for pair in self.table if not named & set(pair)]
        return completed(argv)

    def _program(self, argv: Sequence[str]) -> Completed:
        if argv[-1] == "refresh":
            return completed(argv, 4 if self.unreachable else 0)
        wanted = argv[-1]
        for name in self.half:
            self.enter(name)
        if self.late:
            raise LateError("it did not end")
        if self.unreachable or wanted not in self.repositories or self.half:
            return Completed(tuple(argv), 1, "", self._words().format(wanted))
        for name in (*self.repositories[wanted], wanted):
            self.enter(name)
        return completed(argv)

    def _words(self) -> str:
        if self.half:
            return "error: %prein(failpre-1.0-1.noarch) scriptlet failed, exit status 1\n"
        if self.program == "zypper":
            return ZYPPER_UNREACHABLE if self.unreachable else ZYPPER_NOT_FOUND
        return DNF_UNREACHABLE if self.unreachable else DNF_NOT_FOUND

    def _unit_files(self, argv: Sequence[str]) -> Completed:
        lines = [
            f"{unit} {self.unit_states[unit]} enabled\n"
            for unit in argv
            if unit in self.unit_states
        ]
        # Real systemctl: status 1, and not a word.
        return Completed(tuple(argv), 0 if lines else 1, "".join(lines), "")

    def _enable(self, argv: Sequence[str]) -> Completed:
        self.unit_states |= dict.fromkeys(argv[2:], "enabled")
        return completed(argv)
