# SPDX-License-Identifier: Apache-2.0
"""What the new machine will be and what it needs of its host, decided before anything is made."""
