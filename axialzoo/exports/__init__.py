"""Export of models for other runtimes: torch.export, ONNX, SavedModel, LiteRT. Each export is compared with its original."""

from axialzoo.exports.export import ExportError, export_model
from axialzoo.exports.export_matrix import EXPORT_MATRIX, FORMATS, ExportTarget

__all__ = ["FORMATS", "EXPORT_MATRIX", "ExportError", "ExportTarget", "export_model"]
