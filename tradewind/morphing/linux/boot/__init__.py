# SPDX-License-Identifier: Apache-2.0
"""What decides whether a guest starts: kernels, images, boot loaders, command lines."""
