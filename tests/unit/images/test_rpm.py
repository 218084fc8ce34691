# SPDX-License-Identifier: Apache-2.0
"""Packages in rpm's format: the spec file, and real packages where there is an rpmbuild."""

import shutil
import subprocess
from pathlib import Path

import pytest

from images import recipe, rpm, rpm_mirror, standin
from images.rpm import RpmPackage

AGENT = RpmPackage(
    name="agent",
    version="7.2",
    summary="An agent",
    requires=("glib2", "/bin/sh"),
    provides=("helper = 1",),
    files=("/usr/sbin/agent",),
    post="systemctl enable agent",
)


def test_a_spec_has_every_package() -> None:
    text = rpm.spec([AGENT, RpmPackage(name="glib2", version="2.74", summary="A library")])
    assert "%package -n agent\nVersion: 7.2\nRelease: 1\nSummary: An agent\n" in text
    assert "Requires: glib2\nRequires: /bin/sh\nProvides: helper = 1\n" in text
    assert '%post -n agent\nsystemctl enable agent\n%files -n agent\n"/usr/sbin/agent"\n' in text
    assert "%files -n glib2\n" in text
    assert text.count("%package") == 2


@pytest.mark.skipif(not shutil.which("rpmbuild"), reason="rpmbuild is not on this machine")
def test_packages_are_built_and_registered(tmp_path: Path) -> None:
    root = tmp_path / "tree"
    (root / "usr/sbin").mkdir(parents=True)
    (root / "usr/sbin/agent").write_text("#!/bin/sh\n")
    (root / "var/lib/rpm").mkdir(parents=True)
    (built,) = rpm.build([AGENT], root, tmp_path / "work")
    assert built.name == "agent-7.2-1.x86_64.rpm"
    rpm.register([built], root)
    query = ["rpm", "--root", str(root), "--dbpath", "/var/lib/rpm", "--query", "--list", "agent"]
    listed = subprocess.run(query, capture_output=True, text=True, check=True).stdout
    assert listed == "/usr/sbin/agent\n"
    assert (root / "usr/sbin/agent").read_text() == "#!/bin/sh\n"


def test_stand_ins_are_those_with_a_database_to_fill() -> None:
    found = {name: standin.load(recipe.load(name)) for name in recipe.names()}
    assert {name for name, each in found.items() if each} == {"redhat-standin", "suse-standin"}


def test_what_the_repositories_require_is_there_or_comes_with_them() -> None:
    for name in ("redhat-standin", "suse-standin"):
        wanted = standin.load(recipe.load(name))
        assert wanted is not None
        known = {*wanted.names.values(), *rpm_mirror.PACKAGES}
        for requires in rpm_mirror.PACKAGES.values():
            assert set(requires) <= known
