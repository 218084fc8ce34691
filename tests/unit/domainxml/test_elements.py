# SPDX-License-Identifier: Apache-2.0
"""Every element that libvirt's schema allows is kept, listed in the report, or needless.

Each line of the tables is tried: a kept element has to be in the new domain, one that is dropped
has to have its sentence. An element that a newer schema brings fails `test_nothing_is_forgotten`.
"""

from typing import NamedTuple

import pytest
from lxml import etree

from tests.unit.domainxml.conftest import Validate
from tests.unit.domainxml.schema import children, definitions
from tradewind.domainxml.document import find
from tradewind.domainxml.final import final_domain, shortfalls
from tradewind.domainxml.machine import DiskFacts, parse_machine
from tradewind.model.deploy import CpuChoice, CpuMode, FinalDisk, FinalDomain, FinalNic
from tradewind.model.hardware import DiskBus, Hardware
from tradewind.model.network import Plug
from tradewind.units import GiB

SOURCE = """
<domain type="kvm">
  <name>all</name>
  <uuid>5d5a4b1e-7c0f-4d38-9c53-0a8b2f6c1d11</uuid>
  <memory unit="KiB">1048576</memory>
  <vcpu>4</vcpu>
  <os><type arch="x86_64" machine="q35">hvm</type></os>
  <features><acpi/></features>
  <cpu mode="host-model"/>
  <clock offset="utc"/>
  <devices>
    <disk type="file" device="disk">
      <source file="/srv/a.qcow2"/><target dev="sda" bus="scsi"/>
    </disk>
    <interface type="network">
      <mac address="52:54:00:1a:2b:3c"/><source network="office"/><model type="virtio"/>
    </interface>
  </devices>
</domain>
"""


class Kept(NamedTuple):
    """A piece of a source's description, and what of it the new one has (by default the same)."""

    xml: str
    there: str = ""


class Said(NamedTuple):
    """A piece of a source's description, and words of the sentence on it."""

    xml: str
    words: str


class Needless(str):
    """Why an element means nothing to a machine that was moved."""

    __slots__ = ()


Fate = Kept | Said | Needless

OURS = Needless("the new machine has its own, whatever the source's was")
LIBVIRTS = Needless("libvirt gives it to a domain while it runs, or chooses it at definition")
OTHER = Needless("of another hypervisor or processor than QEMU on x86")
CONTAINER = Needless("of containers")
SOURCE_SIDE = Needless("how the source reaches what the replica holds now")

DOMAIN: dict[str, Fate] = {
    "blkiotune": Said("<blkiotune><weight>800</weight></blkiotune>", "Limits of CPU shares"),
    "bootloader": OTHER,
    "bootloader_args": OTHER,
    "capabilities": Needless("QEMU's capabilities, in a namespace of their own: see dropped.py"),
    "clock": Kept("", '<clock offset="utc">'),
    "commandline": Needless("QEMU's options, in a namespace of their own: see dropped.py"),
    "cpu": Needless(
        "what option cpu_mode says; a model and hidden features have their lines below"
    ),
    "cputune": Said("<cputune><shares>2048</shares></cputune>", "pinning"),
    "currentMemory": Said("<currentMemory unit='MiB'>512</currentMemory>", "balloon held"),
    "datacenterpath": OTHER,
    "defaultiothread": Said("<defaultiothread thread_pool_min='1'/>", "I/O threads"),
    "deprecation": Needless("what libvirt warns of, in a namespace of its own"),
    "description": Kept("<description>Till at the pier</description>"),
    "devices": Kept("", "<devices>"),
    "features": Kept("", "<features>"),
    "genid": Said("<genid>43dc0cf8-809b-4adb-9bea-a9abb5f3d90e</genid>", "generation ID is a new"),
    "idmap": Said("<idmap><uid start='0' target='1000' count='10'/></idmap>", "user ID mapping"),
    "iothreadids": Said("<iothreadids><iothread id='2'/></iothreadids>", "I/O threads"),
    "iothreads": Said("<iothreads>2</iothreads>", "I/O threads"),
    "keywrap": Said("<keywrap><cipher name='aes' state='on'/></keywrap>", "keywrap"),
    "launchSecurity": Said(
        "<launchSecurity type='sev'><cbitpos>47</cbitpos><reducedPhysBits>1</reducedPhysBits>"
        "<policy>0x0003</policy></launchSecurity>",
        "launchSecurity",
    ),
    "maxMemory": Said("<maxMemory slots='4' unit='GiB'>8</maxMemory>", "Memory hot-plug"),
    "memory": Kept("", '<memory unit="bytes">1073741824</memory>'),
    "memoryBacking": Said("<memoryBacking><locked/></memoryBacking>", "Huge pages"),
    "memtune": Said("<memtune><hard_limit>2000000</hard_limit></memtune>", "Limits of CPU shares"),
    "metadata": Said(
        "<metadata><nova:instance xmlns:nova='http://openstack.org/nova'/></metadata>",
        "other programs noted of the machine (http://openstack.org/nova)",
    ),
    "name": Kept("", "<name>all-new</name>"),
    "namespace": CONTAINER,
    "numatune": Said("<numatune><memory mode='strict' nodeset='0'/></numatune>", "pinning"),
    "on_crash": Kept("<on_crash>preserve</on_crash>"),
    "on_lockfailure": Said("<on_lockfailure>pause</on_lockfailure>", "on_lockfailure"),
    "on_poweroff": Kept("<on_poweroff>restart</on_poweroff>"),
    "on_reboot": Said("<on_reboot>destroy</on_reboot>", "on the source it meant destroy"),
    "os": Kept("", 'type arch="x86_64"'),
    "override": Needless("QEMU's properties, in a namespace of their own: see dropped.py"),
    "perf": Needless("what the host counts, and no part of the machine"),
    "pm": Kept("<pm><suspend-to-mem enabled='no'/></pm>", '<suspend-to-mem enabled="no"/>'),
    "resource": Said("<resource><partition>/p</partition></resource>", "Limits of CPU shares"),
    "seclabel": Said(
        "<seclabel type='static' model='dac'><label>1:2</label></seclabel>", "security label"
    ),
    "sysinfo": Said(
        "<sysinfo type='smbios'><system><entry name='serial'>7</entry></system></sysinfo>",
        "the guest did not see them",
    ),
    "title": Kept("<title>Ledger</title>"),
    "uuid": Kept("", "<uuid>0f6f3a52-93f5-4f0f-8ac9-1d8f9a3f7b02</uuid>"),
    "vcpu": Kept("", '<vcpu placement="static">4</vcpu>'),
    "vcpus": Said(
        "<vcpus><vcpu id='0' enabled='yes' hotpluggable='no'/>"
        "<vcpu id='1' enabled='no' hotpluggable='yes'/></vcpus>",
        "vCPUs can be plugged in",
    ),
}

OS: dict[str, Fate] = {
    "acpi": Said("<acpi><table type='slic'>/srv/slic</table></acpi>", "Firmware tables"),
    "bios": Kept("<bios useserial='yes'/>", '<bios useserial="yes"/>'),
    "boot": Kept("<boot dev='hd'/>", '<boot order="1"/>'),
    "bootmenu": Kept("<bootmenu enable='yes'/>", '<bootmenu enable="yes"/>'),
    "cmdline": Needless("with a kernel of the host, which is told"),
    "dtb": OTHER,
    "firmware": Needless("see the golden files of UEFI machines: what it asks for is kept"),
    **dict.fromkeys(("init", "initarg", "initdir", "initenv", "initgroup"), CONTAINER),
    "initrd": Needless("with a kernel of the host, which is told"),
    "inituser": CONTAINER,
    "kernel": Said("<kernel>/srv/vmlinuz</kernel>", "kernel directly (/srv/vmlinuz)"),
    "loader": Needless("the new host's firmware of the same kind"),
    "nvram": Needless(
        "copied where the source gives it away, and told where not: test_attachments"
    ),
    "root": OTHER,
    "smbios": Said("<smbios mode='host'/>", "Firmware tables"),
    "type": Kept("", '<type arch="x86_64" machine="pc-q35-7.2">hvm</type>'),
}

FEATURES: dict[str, Fate] = {
    "acpi": Kept("", "<acpi/>"),
    "apic": OURS,
    "capabilities": Said("<capabilities policy='deny'/>", "feature capabilities"),
    "ccf-assist": Said("<ccf-assist state='on'/>", "feature ccf-assist"),
    "cfpc": Said("<cfpc value='fixed'/>", "feature cfpc"),
    "gic": Said("<gic version='2'/>", "feature gic"),
    "hap": Kept("<hap/>"),
    "hpt": Said("<hpt resizing='enabled'/>", "feature hpt"),
    "htm": Said("<htm state='on'/>", "feature htm"),
    "hyperv": Kept("<hyperv><relaxed state='on'/></hyperv>", '<relaxed state="on"/>'),
    "ibs": Said("<ibs value='fixed-na'/>", "feature ibs"),
    "ioapic": Needless("for an IOMMU, which is left out, and told"),
    "kvm": Kept("<kvm><hidden state='on'/></kvm>", '<hidden state="on"/>'),
    "msrs": Kept("<msrs unknown='ignore'/>", '<msrs unknown="ignore"/>'),
    "nested-hv": Said("<nested-hv state='on'/>", "feature nested-hv"),
    "pae": Kept("<pae/>"),
    "pmu": Kept("<pmu state='off'/>", '<pmu state="off"/>'),
    "privnet": Said("<privnet/>", "feature privnet"),
    "pvspinlock": Said("<pvspinlock state='on'/>", "feature pvspinlock"),
    "sbbc": Said("<sbbc value='broken'/>", "feature sbbc"),
    "smm": Needless("with Secure Boot, and not without it"),
    "tcg": Said("<tcg><tb-cache unit='MiB'>64</tb-cache></tcg>", "feature tcg"),
    "viridian": Said("<viridian/>", "feature viridian"),
    "vmcoreinfo": Kept("<vmcoreinfo state='on'/>", '<vmcoreinfo state="on"/>'),
    "vmport": Kept("<vmport state='off'/>", '<vmport state="off"/>'),
    "xen": Said("<xen><e820_host state='on'/></xen>", "feature xen"),
}

CPU: dict[str, Fate] = {
    "cache": Said("<cache mode='passthrough'/>", "Cache and address width"),
    "feature": Said("<feature policy='disable' name='hle'/>", "forced or hid"),
    "maxphysaddr": Said("<maxphysaddr mode='passthrough'/>", "Cache and address width"),
    "model": Said("<model fallback='allow'>Haswell</model>", "CPU model Haswell"),
    "numa": Said("<numa><cell id='0' cpus='0-3' memory='1048576'/></numa>", "NUMA cells"),
    "topology": Kept(
        "<topology sockets='2' dies='1' cores='2' threads='1'/>", '<topology sockets="2"'
    ),
    "vendor": Needless("with the model, which is told"),
}

CLOCK: dict[str, Fate] = {
    "timer": Said("<timer name='tsc' frequency='1000000'/>", "timer tsc"),
}

DEVICES: dict[str, Fate] = {
    "audio": Needless("the host's end of a sound device, which is told"),
    "channel": Said(
        "<channel type='pty'><target type='virtio' name='com.example.0'/></channel>",
        "channel com.example.0",
    ),
    "console": OURS,
    "controller": Said("<controller type='ccid' index='0'/>", "ccid controller"),
    "disk": Kept("", 'device="disk"'),
    "emulator": Said("<emulator>/opt/qemu/bin/qemu</emulator>", "emulator /opt/qemu/bin/qemu"),
    "filesystem": Said(
        "<filesystem type='mount'><source dir='/srv/x'/><target dir='x'/></filesystem>", "/srv/x"
    ),
    "graphics": Said("<graphics type='spice' autoport='yes'/>", "spice display"),
    "hostdev": Said(
        "<hostdev mode='subsystem' type='usb'><source><vendor id='0x04b8'/>"
        "<product id='0x0202'/></source></hostdev>",
        "usb device 04b8:0202",
    ),
    "hub": Needless("a USB hub with nothing on it"),
    "input": Said(
        "<input type='evdev'><source dev='/dev/input/event1'/></input>", "/dev/input/event1"
    ),
    "interface": Kept("", '<mac address="52:54:00:1a:2b:3c"/>'),
    "iommu": Said("<iommu model='intel'/>", "iommu device"),
    "lease": Said(
        "<lease><lockspace>a</lockspace><key>k</key><target path='/srv/l'/></lease>", "lease device"
    ),
    "memballoon": OURS,
    "memory": Said(
        "<memory model='dimm'><target><size unit='MiB'>512</size><node>0</node></target></memory>",
        "Memory hot-plug and DIMMs",
    ),
    "nvram": Said("<nvram><address type='spapr-vio' reg='0x3000'/></nvram>", "nvram device"),
    "panic": Kept("<panic model='isa'/>", '<panic model="isa"/>'),
    "parallel": Said("<parallel type='pty'><target port='0'/></parallel>", "parallel device"),
    "redirdev": Said("<redirdev bus='usb' type='spicevmc'/>", "redirdev device"),
    "redirfilter": Said("<redirfilter><usbdev allow='no'/></redirfilter>", "redirfilter device"),
    "rng": OURS,
    "serial": Said("<serial type='pty'/><serial type='pty'/>", "Serial ports other than the first"),
    "shmem": Said("<shmem name='s'><model type='ivshmem-plain'/></shmem>", "shmem device"),
    "smartcard": Said("<smartcard mode='host'/>", "smartcard device"),
    "sound": Said("<sound model='ich9'/>", "sound device"),
    "tpm": Said(
        "<tpm model='tpm-crb'><backend type='emulator' version='2.0'/></tpm>", "TPM's contents"
    ),
    "video": Needless("a plain VGA card, which every guest has a driver for"),
    "vsock": Said("<vsock model='virtio'><cid auto='yes'/></vsock>", "vsock device"),
    "watchdog": Kept(
        "<watchdog model='i6300esb' action='poweroff'/>",
        '<watchdog model="i6300esb" action="poweroff"/>',
    ),
}

DISK: dict[str, Fate] = {
    "acpi": LIBVIRTS,
    "address": LIBVIRTS,
    "alias": LIBVIRTS,
    "auth": SOURCE_SIDE,
    "backenddomain": OTHER,
    "backingStore": SOURCE_SIDE,
    "blockio": Kept("<blockio logical_block_size='4096'/>", 'logical_block_size="4096"'),
    "boot": Kept("<boot order='3'/>", '<boot order="1"/>'),
    "driver": Needless("the choices of Hardware; error policies are kept"),
    "encryption": Said(
        "<encryption format='luks'><secret type='passphrase' uuid="
        "'f52a81b2-424e-490c-823d-6bd4235bc572'/></encryption>",
        "Disk sda is encrypted by its host",
    ),
    "geometry": Kept("<geometry cyls='16' heads='8' secs='63'/>", '<geometry cyls="16"'),
    "iotune": Said("<iotune><total_iops_sec>5</total_iops_sec></iotune>", "I/O limits"),
    "mirror": LIBVIRTS,
    "privateData": LIBVIRTS,
    "product": Kept("<product>LEDGER</product>"),
    "readonly": Kept("<readonly/>"),
    "serial": Kept("<serial>HARBOUR-1</serial>"),
    "shareable": Said("<shareable/>", "Disk sda is shared"),
    "source": SOURCE_SIDE,
    "target": Kept("", '<target dev="sda" bus="scsi"/>'),
    "transient": Said("<transient/>", "Disk sda forgot"),
    "vendor": Kept("<vendor>PIER</vendor>"),
    "wwn": Kept("<wwn>5000c50015ea71ad</wwn>"),
}

INTERFACE: dict[str, Fate] = {
    "acpi": Needless("the guest's names of NICs are kept by their MAC addresses"),
    "address": LIBVIRTS,
    "alias": LIBVIRTS,
    "backend": Needless("of the user network, which becomes what the network map says"),
    "backenddomain": OTHER,
    "bandwidth": Said("<bandwidth><inbound average='9'/></bandwidth>", "Bandwidth limits"),
    "boot": Kept("<boot order='1'/>", '<boot order="2"/>'),
    "coalesce": Said(
        "<coalesce><rx><frames max='5'/></rx></coalesce>", "setting coalesce of NIC 52:54:00"
    ),
    "downscript": Needless("of type ethernet, which is told as a whole"),
    "driver": Kept("<driver queues='4'/>", '<driver queues="4"/>'),
    "filterref": Said("<filterref filter='clean-traffic'/>", "filter clean-traffic of NIC"),
    "guest": CONTAINER,
    "ip": CONTAINER,
    "link": Kept("<link state='down'/>", '<link state="down"/>'),
    "mac": Kept("", '<mac address="52:54:00:1a:2b:3c"/>'),
    "model": Kept("", '<model type="virtio"/>'),
    "mtu": Kept("<mtu size='9000'/>", '<mtu size="9000"/>'),
    "port": Kept("<port isolated='yes'/>", '<port isolated="yes"/>'),
    "portForward": Needless("of the user network, which becomes what the network map says"),
    "rom": Said("<rom bar='off'/>", "setting rom of NIC"),
    "route": CONTAINER,
    "script": Said("<script path='/etc/q'/>", "setting script of NIC"),
    "source": Needless("what the network map says"),
    "target": Said("<target dev='port7'/>", "name port7 for NIC"),
    "teaming": Said("<teaming type='persistent'/>", "setting teaming of NIC"),
    "tune": Said("<tune><sndbuf>1600</sndbuf></tune>", "setting tune of NIC"),
    "virtualport": Said(
        "<virtualport type='802.1Qbh'><parameters profileid='p'/></virtualport>", "802.1Qbh port"
    ),
    "vlan": Said("<vlan><tag id='42'/></vlan>", "VLAN tags"),
}

TABLES = {
    "domain": DOMAIN,
    "domain/os": OS,
    "domain/features": FEATURES,
    "domain/cpu": CPU,
    "domain/clock": CLOCK,
    "domain/devices": DEVICES,
    "domain/devices/disk": DISK,
    "domain/devices/interface": INTERFACE,
}
TRIED = [
    (path, name)
    for path, table in TABLES.items()
    for name, fate in table.items()
    if not isinstance(fate, Needless)
]


def with_piece(path: str, name: str, xml: str) -> etree._Element:
    """Put a piece into the source; it takes the place of one of its name."""
    domain = etree.fromstring(SOURCE, etree.XMLParser(remove_blank_text=True))
    parent = domain if path == "domain" else find(domain, path.removeprefix("domain/"))
    for piece in etree.fromstring(f"<pieces>{xml}</pieces>"):
        same = parent.find(name) if path != "domain/devices" else None
        if same is not None:
            parent.remove(same)
        parent.append(piece)
    return domain


@pytest.fixture
def everything(plan: FinalDomain) -> FinalDomain:
    return plan.model_copy(
        update={
            "name": "all-new",
            "uuid": "0f6f3a52-93f5-4f0f-8ac9-1d8f9a3f7b02",
            "kvm": True,
            "cpu": CpuChoice(mode=CpuMode.HOST_MODEL, migratable=True),
            "disks": (FinalDisk(disk_id="sda", path="/pool/a.qcow2", format="qcow2"),),
            "nics": (FinalNic(mac="52:54:00:1a:2b:3c", plug=Plug(name="default")),),
            "hardware": Hardware(disk_bus=DiskBus.SCSI),
        }
    )


@pytest.mark.parametrize(("path", "name"), TRIED)
def test_element(path: str, name: str, everything: FinalDomain, validate: Validate) -> None:
    fate = TABLES[path][name]
    assert not isinstance(fate, Needless)
    source = with_piece(path, name, fate.xml)
    validate(source, "domain")
    text = etree.tostring(source, encoding="unicode")
    machine = parse_machine(text, disk_facts=lambda _target: DiskFacts(GiB))
    new = final_domain(machine, everything)
    validate(etree.fromstring(new), "domain")
    if isinstance(fate, Kept):
        assert (fate.there or fate.xml) in new
    else:
        assert any(fate.words in line for line in shortfalls(machine, everything))


@pytest.mark.parametrize("path", TABLES)
def test_nothing_is_forgotten(path: str) -> None:
    unknown = children(definitions(), path) - set(TABLES[path])
    assert not unknown, "kept, told or needless? dropped.py, final.py and the table here say so"


def test_plain_source_loses_nothing(everything: FinalDomain) -> None:
    machine = parse_machine(SOURCE, disk_facts=lambda _target: DiskFacts(GiB))
    assert shortfalls(machine, everything) == ()
