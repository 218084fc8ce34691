# SPDX-License-Identifier: Apache-2.0
"""Windows guests: registry hives, driver packages, what is found in a guest and changed in it.

No flow calls this yet: Windows guests are refused (docs/windows.md).
"""
