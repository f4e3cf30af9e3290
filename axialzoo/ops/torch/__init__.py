"""Operators of axial attention for PyTorch: ``torch.ops.axialzoo``, and differentiable functions that call the kernels."""
