# SPDX-License-Identifier: Apache-2.0
"""Reports as Markdown: records in, text out. No Prefect and no host is known here."""
