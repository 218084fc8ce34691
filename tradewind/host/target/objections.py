# SPDX-License-Identifier: Apache-2.0
"""What the destination's libvirt objects to in the new domain, asked before anything is made."""

from collections.abc import Iterator

import libvirt

from tradewind.domainxml.final import final_domain
from tradewind.domainxml.omissions import refused
from tradewind.errors import BadInputError
from tradewind.host.domain import twins
from tradewind.model.deploy import FinalDomain, Omission
from tradewind.model.finding import Finding, warning
from tradewind.model.host import HostFacts
from tradewind.model.machine import VirtualMachine

_EVIDENCE = "virsh define --validate, of a twin that was undefined at once"


def omissions(
    connection: libvirt.virConnect, machine: VirtualMachine, twin: FinalDomain, facts: HostFacts
) -> tuple[Omission, ...]:
    """Name what of the source's description this libvirt refuses, and the machine can do without.

    BadInputError: it refuses the machine without all that, too.
    """
    twins.remove_stale(connection)
    xml = final_domain(machine, twin)
    error = twins.judge(connection, xml, twin.name)
    if error is None:
        return ()
    found = refused(xml, lambda tried: twins.judge(connection, tried, twin.name) is None)
    if found is None:
        # Without its schema libvirt says what is wrong, if it knows.
        plainly = twins.judge(connection, xml, twin.name, validate=False) or error
        raise _refusal(machine, facts, str(plainly.get_error_message()))
    return found


def _refusal(machine: VirtualMachine, facts: HostFacts, said: str) -> BadInputError:
    return BadInputError(
        f"libvirt {facts.libvirt_version} of {facts.hostname} refuses {machine.name} as it would"
        f" be: {' '.join(said.split())}",
        "choose other hardware for it in the request, change what is named on the source, or take"
        " another host",
        evidence=_EVIDENCE,
    )


def findings(
    connection: libvirt.virConnect, machine: VirtualMachine, twin: FinalDomain, facts: HostFacts
) -> Iterator[Finding]:
    """Return what is left out of the new domain, and why libvirt would not start it."""
    for omission in twin.left_out:
        if omission.what:
            yield warning(
                f"libvirt {facts.libvirt_version} of {facts.hostname} refuses {omission.what}: it"
                " is left out of the new machine",
                "nothing, if the guest can do without; else take a host with a newer libvirt",
                _EVIDENCE,
            )
    if why := twins.start_objection(connection, final_domain(machine, twin)):
        yield warning(
            f"libvirt {facts.libvirt_version} of {facts.hostname} would not start the new machine:"
            f" {why}",
            "choose what it names otherwise (cpu_mode, cpu_features, hardware in the request), or"
            " take another host",
            "virsh domxml-to-native qemu-argv, of the new machine's description",
        )
