"""Operators of axial attention for PyTorch: ``torch.ops.axialzoo`` and functions with gradients on the kernels."""
