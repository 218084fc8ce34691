# SPDX-License-Identifier: Apache-2.0
"""Moving bytes from a snapshot to the volumes on the destination."""
