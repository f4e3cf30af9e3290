"""Operators of axial attention for every back end of Keras: a reference in `keras.ops`, a call of the kernel, and gradients."""
