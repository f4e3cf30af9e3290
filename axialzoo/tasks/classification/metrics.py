"""Top-1 and top-5 accuracy."""

from __future__ import annotations

from typing import Any

from axialzoo.spec import Label
from axialzoo.tasks.results import Classification


class Accuracy:
    """``top1``, ``top5`` and ``images``; of equally likely classes the first counts as likelier."""

    def __init__(self, num_classes: int, labels: tuple[Label, ...] = ()):
        self.num_classes, self.labels = num_classes, labels
        self.right = self.among = self.images = 0

    def update(self, result: Classification, annotation: int) -> None:
        shares = result.probabilities
        ahead = int((shares > shares[annotation]).sum() + (shares[:annotation] == shares[annotation]).sum())
        self.right += ahead == 0
        self.among += ahead < 5
        self.images += 1

    def compute(self) -> dict[str, Any]:
        """Return both accuracies, as fractions; None without images."""
        shares = {"top1": self.right, "top5": self.among}
        return {name: count / self.images if self.images else None for name, count in shares.items()} | {"images": self.images}
