# SPDX-License-Identifier: Apache-2.0
"""Where machines come from: plug-ins."""
