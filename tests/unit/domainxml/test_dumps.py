# SPDX-License-Identifier: Apache-2.0
"""What the new host writes to files, and whom its console lets in."""

import pytest
from pydantic import SecretStr

from tests.unit.domainxml.conftest import Validate
from tradewind.domainxml.document import parse
from tradewind.domainxml.final import final_domain, shortfalls
from tradewind.domainxml.machine import DiskFacts, parse_machine
from tradewind.model.deploy import FinalDomain, Vnc
from tradewind.model.hardware import Hardware
from tradewind.model.machine import VirtualMachine


def machine_with(debian: str, sizes: dict[str, int], crash: str, action: str) -> VirtualMachine:
    """Describe a source that does this when its guest crashes or hangs."""
    assert "<on_crash>destroy</on_crash>" in debian
    text = debian.replace("<on_crash>destroy</on_crash>", f"<on_crash>{crash}</on_crash>")
    watchdog = f"<watchdog model='i6300esb' action='{action}'/>"
    text = text.replace("</devices>", f"{watchdog}</devices>")
    return parse_machine(text, disk_facts=lambda target: DiskFacts(sizes[target]))


def events(machine: VirtualMachine, plan: FinalDomain) -> tuple[str | None, str | None]:
    domain = parse(final_domain(machine, plan))
    watchdog = domain.find("devices/watchdog")
    assert watchdog is not None
    return domain.findtext("on_crash"), watchdog.get("action")


@pytest.mark.parametrize("then", ["destroy", "restart"])
def test_memory_is_not_dumped_on_the_new_host_unasked(
    debian: str, sizes: dict[str, int], plan: FinalDomain, then: str
) -> None:
    machine = machine_with(debian, sizes, f"coredump-{then}", "dump")
    assert events(machine, plan) == (then, "none")
    said = [line for line in shortfalls(machine, plan) if "memory is not written" in line]
    assert f"on_crash coredump-{then}" in said[0]
    assert "watchdog action dump" in said[1]
    assert all("keep_memory_dumps" in line for line in said)


def test_memory_is_dumped_where_that_is_asked_for(
    debian: str, sizes: dict[str, int], plan: FinalDomain
) -> None:
    asked = plan.model_copy(update={"hardware": Hardware(keep_memory_dumps=True)})
    machine = machine_with(debian, sizes, "coredump-restart", "dump")
    assert events(machine, asked) == ("coredump-restart", "dump")
    assert not any("memory is not written" in line for line in shortfalls(machine, asked))


@pytest.mark.parametrize(("crash", "action"), [("preserve", "reset"), ("restart", "poweroff")])
def test_what_dumps_nothing_is_kept(
    debian: str, sizes: dict[str, int], plan: FinalDomain, crash: str, action: str
) -> None:
    machine = machine_with(debian, sizes, crash, action)
    assert events(machine, plan) == (crash, action)
    assert not any("memory is not written" in line for line in shortfalls(machine, plan))


def console(plan: FinalDomain, listen: str, password: str = "") -> FinalDomain:
    secret = SecretStr(password) if password else None
    return plan.model_copy(update={"vnc": Vnc(listen=listen, password=secret)})


@pytest.mark.parametrize(
    ("listen", "words"),
    [
        ("0.0.0.0", "listens on every address of the host without a password"),
        ("::", "listens on every address of the host without a password"),
        ("198.18.0.1", "listens on address 198.18.0.1 of the host without a password"),
        ("127.0.0.1", ""),
        ("::1", ""),
    ],
)
def test_an_open_console_is_in_the_report_with_its_remedy(
    debian: str, sizes: dict[str, int], plan: FinalDomain, listen: str, words: str
) -> None:
    machine = machine_with(debian, sizes, "destroy", "reset")
    said = [line for line in shortfalls(machine, console(plan, listen)) if "VNC" in line]
    assert len(said) == bool(words)
    assert words in "".join(said)
    assert not words or "vnc_listen_address" in said[0]
    closed = shortfalls(machine, console(plan, listen, "eightchr"))
    assert not any("VNC" in line for line in closed)


def test_the_console_asks_for_its_password(
    debian: str, sizes: dict[str, int], plan: FinalDomain, validate: Validate
) -> None:
    machine = machine_with(debian, sizes, "destroy", "reset")
    asked = console(plan, "0.0.0.0", "eightchr")
    domain = parse(final_domain(machine, asked))
    validate(domain, "domain")
    graphics = domain.find("devices/graphics")
    assert graphics is not None
    assert graphics.get("passwd") == "eightchr"
    assert "eightchr" not in repr(asked) + asked.model_dump_json()
