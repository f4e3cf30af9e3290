"""Models as files that other runtimes run: torch.export, ONNX, SavedModel, LiteRT; each compared with its original at once."""

from axialzoo.exports.export import ExportError, export_model
from axialzoo.exports.routes import FORMATS, ROUTES, ExportTarget

__all__ = ["FORMATS", "ROUTES", "ExportError", "ExportTarget", "export_model"]
