"""What networks are trained on; one module a task, each with `loss(outputs, targets, ...)` -> parts and ``total``."""
