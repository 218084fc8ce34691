# SPDX-License-Identifier: Apache-2.0
"""What the codes of libvirt's errors tell; their texts tell nothing, in whatever language.

Codes: https://libvirt.org/html/libvirt-virterror.html.
"""

import errno
from typing import Final

import libvirt

# A refusal with one of these is about the connection, the account or what goes on at the moment,
# so that asking for less would be refused in the same way.
_NOT_ABOUT_WHAT_WAS_ASKED: Final = frozenset(
    {
        libvirt.VIR_ERR_RPC,
        libvirt.VIR_ERR_NO_CONNECT,
        libvirt.VIR_ERR_INVALID_CONN,
        libvirt.VIR_ERR_SYSTEM_ERROR,
        libvirt.VIR_ERR_AUTH_FAILED,
        libvirt.VIR_ERR_AUTH_CANCELLED,
        libvirt.VIR_ERR_AUTH_UNAVAILABLE,
        libvirt.VIR_ERR_ACCESS_DENIED,
        libvirt.VIR_ERR_OPERATION_DENIED,
        libvirt.VIR_ERR_OPERATION_TIMEOUT,
        libvirt.VIR_ERR_RESOURCE_BUSY,
        libvirt.VIR_ERR_NO_DOMAIN,
        libvirt.VIR_ERR_NO_SUPPORT,
        libvirt.VIR_ERR_NO_MEMORY,
    }
)


def may_accept_less(error: libvirt.libvirtError) -> bool:
    """Whether the same request may be accepted when it asks for less.

    Libvirt's errors about dirty bitmaps have codes of many kinds, QEMU's among them have but
    "internal error": whatever may be about a bitmap counts, since asking for less is safe.
    """
    return error.get_error_code() not in _NOT_ABOUT_WHAT_WAS_ASKED


def is_out_of_space(error: libvirt.libvirtError) -> bool:
    """Whether a system call of libvirt failed with ENOSPC or EDQUOT: its error carries the errno.

    What QEMU and its tools say of a full disk has no code at all.
    """
    is_errno = error.get_error_code() == libvirt.VIR_ERR_SYSTEM_ERROR
    return is_errno and error.get_int1() in {errno.ENOSPC, errno.EDQUOT}
