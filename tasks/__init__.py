# SPDX-License-Identifier: Apache-2.0
"""One thin retrying Prefect task per step: opens the door, calls one library function."""
