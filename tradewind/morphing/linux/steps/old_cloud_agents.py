# SPDX-License-Identifier: Apache-2.0
"""Name the agents of the old cloud, and switch off what would hold up the boot."""

from typing import Final

from tradewind.model.guest import Family, GuestOS, MorphOptions, Outcome
from tradewind.morphing.linux import packages, systemd
from tradewind.ports import GuestTree

_AGENTS: Final = (
    "walinuxagent", "WALinuxAgent", "python-azure-agent", "google-guest-agent",
    "google-compute-engine*", "google-osconfig-agent", "gce-compute-image-packages",
    "amazon-ssm-agent", "amazon-cloudwatch-agent", "amazon-ec2-net-utils", "ec2-net-utils",
    "oracle-cloud-agent", "aliyun-assist", "qcloud-*agent", "scaleway-ecosystem",
)  # fmt: skip
# The start counts as ended only after these, and they wait for a metadata service without end.
_HOLD_UP: Final = ("google-startup-scripts.service", "google-shutdown-scripts.service")


def applies_to(os: GuestOS, options: MorphOptions) -> bool:
    """Return whether the guest can be asked for its packages."""
    return os.family is not Family.UNKNOWN


def apply(guest: GuestTree, os: GuestOS, options: MorphOptions) -> Outcome:
    """Leave agents alone, since an operator may want them; the report names them."""
    system = packages.find_system(guest, os)
    found = system.matching(*_AGENTS) if system else ()
    if not found:
        return Outcome(changed=False, summary="none there")
    states = systemd.states(guest, _HOLD_UP)
    off = systemd.disable(guest, [u for u, state in states.items() if systemd.starts(state)])
    summary = f"{', '.join(found)} left as they are"
    if off:
        summary += f"; switched off {', '.join(off)}"
    remedy = "remove them when nothing of that cloud is wanted any more"
    return Outcome(changed=bool(off), summary=summary, remedy=remedy)
