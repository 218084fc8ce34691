# SPDX-License-Identifier: Apache-2.0
"""Registry hives: replayed from their logs, walked, read and edited.

The format is that of the *Windows registry file format specification* by Maxim Suhanov
(msuhanov/regf), the only one there is.
"""
