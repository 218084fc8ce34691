# SPDX-License-Identifier: Apache-2.0
"""What is known of Linux guests: where things are, and how each is changed."""
