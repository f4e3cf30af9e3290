"""How often the right class is the likeliest, or among the five likeliest."""

from __future__ import annotations

from typing import Any

import numpy as np

from axialzoo.spec import Label
from axialzoo.tasks.results import Classes


class Accuracy:
    """``top1``, ``top5`` and ``images``; of equally likely classes the first counts as likelier."""

    def __init__(self, num_classes: int, labels: tuple[Label, ...] = ()):
        self.num_classes, self.labels = num_classes, labels
        self.right = self.among = self.images = 0

    def update(self, result: Classes, truth: int) -> None:
        shares = result.probabilities
        ahead = int((shares > shares[truth]).sum() + (shares[:truth] == shares[truth]).sum())
        self.right += ahead == 0
        self.among += ahead < 5
        self.images += 1

    def update_batch(self, logits: np.ndarray, truths: np.ndarray) -> None:
        """The same of many: logits or probabilities (N, classes) and classes (N,)."""
        own = logits[np.arange(len(truths)), truths][:, None]  # (N, 1)
        before = np.arange(logits.shape[1])[None] < truths[:, None]  # (N, classes)
        ahead = ((logits > own) | ((logits == own) & before)).sum(1)  # (N,)
        self.right += int((ahead == 0).sum())
        self.among += int((ahead < 5).sum())
        self.images += len(truths)

    def compute(self) -> dict[str, Any]:
        """Of no images both shares are None."""
        shares = {"top1": self.right, "top5": self.among}
        return {name: count / self.images if self.images else None for name, count in shares.items()} | {"images": self.images}
