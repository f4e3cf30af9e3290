"""Operators of axial attention: what each computes, its reference, its kernels, and a binding for each framework."""
