# SPDX-License-Identifier: Apache-2.0
"""For which Windows a driver is chosen, and which decoration of an INF file is meant for it."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Self

from tradewind.model.windows import Architecture, Product, WindowsOS

# VER_NT_WORKSTATION and its neighbours, as decorations number them.
_PRODUCT_NUMBERS: Final = {
    Product.CLIENT: 1,
    Product.DOMAIN_CONTROLLER: 2,
    Product.SERVER: 3,
}


@dataclass(frozen=True, slots=True)
class Target:
    """A Windows by architecture, version (10, 0), build and product."""

    architecture: Architecture
    version: tuple[int, int]
    build: int
    product: Product

    @classmethod
    def of(cls, os: WindowsOS) -> Self:
        """Say for which Windows the drivers of an inspected guest are chosen."""
        return cls(os.architecture, os.version, os.build, os.product)

    def __str__(self) -> str:
        kind = "client" if self.product is Product.CLIENT else "server"
        major, minor = self.version
        return f"Windows {major}.{minor}.{self.build} ({kind}, {self.architecture})"

    def best(self, decorations: Iterable[str]) -> str | None:
        """Choose the decoration that says most of those that fit; None when none does.

        Its form is NT[architecture][.major[.minor[.product[.suite[.build]]]]] ("INF Manufacturer
        Section"). "" is a file without decorations, which is for x86, as is NT alone.
        """
        fitting = [
            (said, decoration)
            for decoration in decorations
            if (said := self._fits(decoration)) is not None
        ]
        return max(fitting)[1] if fitting else None

    def _fits(self, decoration: str) -> tuple[int, ...] | None:
        """Say how much a decoration asks for, to be compared; None when this is not it."""
        system, *fields = decoration.strip().lower().split(".")
        fields += [""] * (5 - len(fields))
        if len(fields) > 5 or not all(f.isdecimal() for f in fields if f):
            return None
        architecture = system.removeprefix("nt") or Architecture.X86
        major, minor, product, suite, build = (int(field) if field else 0 for field in fields)
        if architecture != self.architecture or suite:
            return None
        if (major, minor, build) > (*self.version, self.build):
            return None
        if product not in {0, _PRODUCT_NUMBERS[self.product]}:
            return None
        return major, minor, build, product, len(system)
