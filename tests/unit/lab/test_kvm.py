# SPDX-License-Identifier: Apache-2.0
import pytest

from lab.kvm import extended

CPU = """processor\t: {number}
model name\t: Intel(R) Xeon(R) Processor
flags\t\t: fpu vme {flags}hypervisor
vmx flags\t: vnmi preemption_timer
bugs\t\t: spectre_v1
"""


@pytest.mark.parametrize(("flags", "expected"), [("vmx ", True), ("svm ", True), ("", False)])
def test_virtualization_is_a_flag_of_the_processor(flags: str, expected: bool) -> None:
    cpuinfo = "\n".join(CPU.format(number=number, flags=flags) for number in range(2))
    assert extended(cpuinfo) is expected


def test_a_file_without_flags_tells_nothing() -> None:
    assert not extended("processor\t: 0\nBogoMIPS\t: 50.00\n")
