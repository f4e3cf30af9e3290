"""A page to see what models see, in a browser, on gradio; ``axialzoo app`` serves it, and a Space on the Hub is it."""

from axialzoo.app.serve import serve

__all__ = ["serve"]
