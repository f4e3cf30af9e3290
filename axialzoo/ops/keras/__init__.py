"""Operators of axial attention for Keras, on whichever back end it has: each of plain operations, on the kernel, and its gradients."""
