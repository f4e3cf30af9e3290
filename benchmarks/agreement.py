"""Agreement of the frameworks on the class of every test image.

    python benchmarks/agreement.py --data FOLDER [--model axial_resnet_cifar10] [--limit 500] [--json]

Evaluates the model in PyTorch and in Keras on each back end that is installed, and lists
every image on which two of them disagree, with their classes.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys

import numpy as np

from axialzoo.train import evaluate


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="a folder that `axialzoo evaluate` reads")
    parser.add_argument("--model", default="axial_resnet_cifar10", help="registered name with weights, folder or org/repo")
    parser.add_argument("--limit", type=int, default=0, help="only the first so many images")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    installed = [name for name in ("torch", "tensorflow", "jax") if importlib.util.find_spec(name)]
    runs = [("torch", "")] * ("torch" in installed) + [("keras", name) for name in installed if importlib.util.find_spec("keras")]
    scores, classes = {}, {}
    for framework, backend in runs:
        name = f"keras-{backend}" if backend else framework
        predicted_classes: list[int] = []
        scores[name] = evaluate(
            arguments.model,
            arguments.data,
            framework=framework,
            backend=backend or None,
            limit=arguments.limit or None,
            on_result=lambda prediction, predicted_classes=predicted_classes: predicted_classes.append(
                prediction.result.ranked[0]["label_id"]
            ),
        )
        classes[name] = np.array(predicted_classes)
        if not arguments.json:
            print(
                f"{name:18} top1 {scores[name]['top1']:.4f}   top5 {scores[name]['top5']:.4f}   {scores[name]['seconds']:.1f} s",
                flush=True,
            )
    predictions = np.stack(list(classes.values()))  # (frameworks, images)
    disagreements = [
        {"image": int(image), **{name: int(value) for name, value in zip(classes, predictions[:, image])}}
        for image in np.flatnonzero((predictions != predictions[0]).any(0))
    ]
    if arguments.json:
        print(json.dumps({"scores": scores, "images": predictions.shape[1], "disagreements": disagreements}))
    else:
        print(f"disagreements: {len(disagreements)} of {predictions.shape[1]} images")
        for row in disagreements:
            print("  ", row)
    return 1 if disagreements else 0


if __name__ == "__main__":
    sys.exit(main())
