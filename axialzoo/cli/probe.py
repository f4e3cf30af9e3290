"""``python -m axialzoo.cli.probe FRAMEWORK CHECKPOINT INPUTS.npz OUTPUTS.npz``: one framework's logits, in a process of its own.

A Keras back end is chosen when Keras is first imported, so `axialzoo verify` runs each in its own process.
Of every input named ``<precision>:<anything>`` it writes the logits under the same name.
"""

from __future__ import annotations

import sys

import numpy as np


def probe(framework: str, source: str, inputs: str, outputs: str) -> None:
    from axialzoo.checkpoint import load_checkpoint
    from axialzoo.cli.frameworks import Runner

    checkpoint = load_checkpoint(source, verify=False)
    logits, runners = {}, {}
    with np.load(inputs) as images:
        for name in images.files:
            precision = name.partition(":")[0]
            if precision not in runners:
                runners[precision] = Runner(framework, checkpoint.config.spec, checkpoint.tensors, precision)
            found = runners[precision].logits(images[name])
            if found.dtype != np.dtype(precision):
                raise TypeError(f"{framework}: expected {precision} logits, found {found.dtype}")
            logits[name] = found
    np.savez(outputs, **logits)


if __name__ == "__main__":
    probe(*sys.argv[1:])
