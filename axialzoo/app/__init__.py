"""A web page on gradio that shows predictions and attention of models; ``axialzoo app`` and a Space on the Hub serve it."""

from axialzoo.app.serve import serve

__all__ = ["serve"]
