"""Batch prediction of many pictures, in worker processes or on Ray; each file of results appears complete or not at all.

from axialzoo.engine import predict_batch

predict_batch(["photos/"], "axial_resnet_cifar10", "results.parquet", workers=2)
"""

from axialzoo.engine.run import predict_batch

__all__ = ["predict_batch"]
