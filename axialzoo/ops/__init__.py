"""Operators of axial attention: attributes, a reference implementation, kernels, and a binding for each framework."""
