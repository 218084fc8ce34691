# SPDX-License-Identifier: Apache-2.0
"""A source's description of a small machine, with whatever is put into it."""

from tradewind.domainxml.machine import DiskFacts, parse_machine
from tradewind.model.machine import VirtualMachine
from tradewind.units import GiB

SOURCE = """<domain type="kvm">
  <name>{name}</name><uuid>5d5a4b1e-7c0f-4d38-9c53-0a8b2f6c1d11</uuid>
  <memory>1048576</memory>{vcpu}
  <os><type arch="{arch}" machine="q35">hvm</type></os>
  <features><acpi/><apic/>{features}</features>
  {cpu}
  <devices>
    <disk type="file" device="disk">
      <source file="/srv/a.qcow2"/><target dev="sda" bus="scsi"/>{disk}
    </disk>{devices}
  </devices>
</domain>"""


def source(name: str = "ledger01", **pieces: str) -> VirtualMachine:
    usual = {"vcpu": "<vcpu>4</vcpu>", "arch": "x86_64"}
    rest = dict.fromkeys(("features", "cpu", "disk", "devices"), "")
    text = SOURCE.format(**{"name": name, **usual, **rest, **pieces})
    return parse_machine(text, disk_facts=lambda _target: DiskFacts(GiB))


def topology(**counts: int) -> str:
    said = " ".join(f'{name}="{count}"' for name, count in counts.items())
    return f'<cpu mode="host-model"><topology {said}/></cpu>'
