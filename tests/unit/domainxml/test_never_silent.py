# SPDX-License-Identifier: Apache-2.0
"""What a moved machine does not have is told: consoles, memory of kinds, firmware as a ROM."""

import pytest
from lxml import etree

from tests.fakes.described import source
from tests.fakes.embedded_libvirt import embedded
from tests.unit.domainxml.conftest import Validate
from tradewind.domainxml.document import parse
from tradewind.domainxml.dropped import stored
from tradewind.domainxml.machine import DiskFacts, parse_machine
from tradewind.model.machine import Firmware, FirmwareKind, VirtualMachine
from tradewind.units import GiB, MiB

PORT = "<serial type='{type}'>{source}<target port='0'/></serial>"
BIND = "<source mode='bind' host='127.0.0.1' service='2445'/>"
NUMA = """<domain type='qemu'><name>m</name><maxMemory slots='4' unit='GiB'>16</maxMemory>
<memory unit='GiB'>{total}</memory>{balloon}<vcpu>2</vcpu>
<os><type arch='x86_64' machine='q35'>hvm</type></os><features><acpi/></features>
<cpu mode='maximum'><numa><cell id='0' cpus='0-1' memory='1' unit='GiB'/></numa></cpu>
<devices>{devices}</devices></domain>"""
DIMM = """<memory model='dimm'><target><size unit='GiB'>1</size><node>0</node></target></memory>"""
NVDIMM = """<memory model='nvdimm'><source><path>/srv/nv0</path></source>
<target><size unit='GiB'>2</size><node>0</node></target></memory>"""
PMEM = """<memory model='virtio-pmem' access='shared'><source><path>/srv/pm0</path></source>
<target><size unit='MiB'>512</size></target></memory>"""
PLUGGED = """<memory model='virtio-mem'><target><size unit='GiB'>4</size><node>0</node>
<block unit='MiB'>2</block><requested unit='GiB'>1</requested></target></memory>"""


def valid(machine: VirtualMachine, validate: Validate) -> VirtualMachine:
    validate(etree.fromstring(machine.description or ""), "domain")
    return machine


@pytest.mark.parametrize(
    ("port", "words"),
    [
        (PORT.format(type="dev", source="<source path='/dev/ttyS1'/>"), "to dev /dev/ttyS1 on"),
        (PORT.format(type="tcp", source=BIND), "to tcp 127.0.0.1:2445 on"),
        (PORT.format(type="udp", source=BIND.replace("bind", "connect")), "to udp 127.0.0.1:2445"),
        (PORT.format(type="unix", source="<source mode='bind' path='/run/s'/>"), "to unix /run/s"),
        (PORT.format(type="file", source="<source path='/srv/log'/>"), "to file /srv/log on"),
        (PORT.format(type="null", source=""), "to null on"),
    ],
)
def test_first_serial_port_of_another_kind(port: str, words: str, validate: Validate) -> None:
    said = valid(source(devices=port), validate).dropped
    assert [line for line in said if words in line]


def test_console_of_the_host_is_the_same_on_the_new_one(validate: Validate) -> None:
    usual = "<serial type='pty'><target type='isa-serial' port='0'/></serial>"
    usual += "<console type='pty'><target type='serial' port='0'/></console>"
    assert valid(source(devices=usual), validate).dropped == ()


def test_serial_port_of_another_model(validate: Validate) -> None:
    usb = "<serial type='pty'><target type='usb-serial' port='0'/></serial>"
    (said,) = valid(source(devices=usb), validate).dropped
    assert "device of kind usb-serial" in said


def test_virtio_console_is_named(validate: Validate) -> None:
    console = "<console type='pty'><target type='virtio' port='1'/></console>"
    (said,) = valid(source(devices=console), validate).dropped
    assert said.startswith("The virtio console is left out")
    assert "console=ttyS0" in said


@pytest.mark.parametrize(
    ("total", "devices", "memory", "words"),
    [
        (1, "", GiB, ""),
        (2, DIMM, 2 * GiB, "DIMMs are left out"),
        (3, NVDIMM, GiB, "nvdimm /srv/nv0 of 2.0 GiB holds data"),
        (4, DIMM + NVDIMM, 2 * GiB, "nvdimm /srv/nv0 of 2.0 GiB holds data"),
        (5, PLUGGED, 2 * GiB, "gave the guest 1.0 GiB of 4.0 GiB"),
    ],
)
def test_memory_is_what_the_guest_works_in(
    total: int, devices: str, memory: int, words: str
) -> None:
    """Libvirt counts every device as memory, as large as it may become."""
    connection = embedded()
    asked = NUMA.format(total=total, balloon="", devices=devices)
    domain = connection.defineXMLFlags(asked, 0)
    described = domain.XMLDesc()
    domain.undefine()
    counted = parse(described).findtext("memory")
    assert counted == str(total * GiB // 1024)
    machine = parse_machine(described, disk_facts=lambda _target: DiskFacts(GiB))
    assert machine.memory == memory
    assert not words or [line for line in machine.dropped if words in line]
    assert not any("balloon" in line for line in machine.dropped)
    assert bool(stored(parse(described))) is ("holds data" in words)


def test_virtio_pmem_holds_data_too() -> None:
    text = NUMA.format(total=2, balloon="", devices=PMEM)
    machine = parse_machine(text, disk_facts=lambda _target: DiskFacts(GiB))
    assert machine.memory == 2 * GiB - 512 * MiB
    assert any("virtio-pmem /srv/pm0 of 512.0 MiB holds data" in line for line in machine.dropped)


def test_memory_that_counts_no_device_is_the_guests() -> None:
    text = NUMA.format(total=1, balloon="", devices=NVDIMM)
    machine = parse_machine(text, disk_facts=lambda _target: DiskFacts(GiB))
    assert machine.memory == GiB


@pytest.mark.parametrize(
    ("balloon", "told"),
    [
        ("<currentMemory unit='MiB'>512</currentMemory>", True),
        ("<currentMemory unit='GiB'>1</currentMemory>", False),
        ("<currentMemory>1048576</currentMemory>", False),
        ("", False),
    ],
)
def test_balloon_below_the_memory(balloon: str, told: bool) -> None:
    text = NUMA.format(total=1, balloon=balloon, devices="")
    machine = parse_machine(text, disk_facts=lambda _target: DiskFacts(GiB))
    assert machine.memory == GiB
    assert told is any("at 512.0 MiB of 1.0 GiB" in line for line in machine.dropped)


UEFI, BIOS = Firmware(kind=FirmwareKind.UEFI), Firmware()


@pytest.mark.parametrize(
    ("loader", "firmware"),
    [
        ("<loader type='rom'>/usr/share/OVMF/OVMF.fd</loader>", UEFI),
        ("<loader>/usr/share/qemu/ovmf-x86_64.bin</loader>", UEFI),
        ("<loader readonly='yes' type='rom'>/usr/share/edk2/ovmf/code.bin</loader>", UEFI),
        ("<loader type='rom'>/opt/firmware/flash.fd</loader>", UEFI),
        ("<loader type='pflash'>/srv/own.bin</loader>", UEFI),
        ("<loader type='rom'>/usr/share/seabios/bios-256k.bin</loader>", BIOS),
        ("<loader>/usr/share/qemu/bios.bin</loader>", BIOS),
        ("", BIOS),
    ],
)
def test_firmware_as_a_rom(loader: str, firmware: Firmware) -> None:
    text = (source().description or "").replace("</os>", f"{loader}</os>")
    machine = parse_machine(text, disk_facts=lambda _target: DiskFacts(GiB))
    assert machine.firmware == firmware
