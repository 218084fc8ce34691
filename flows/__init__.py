# SPDX-License-Identifier: Apache-2.0
"""What happens, in order: each flow reads like the runbook."""
