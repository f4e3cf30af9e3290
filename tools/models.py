"""Generator of ``axialzoo/torch/zoo.py`` and ``axialzoo/keras/zoo.py``: the named models as functions for editors and type checkers.

python tools/models.py            # write both files
python tools/models.py --check    # only check that they match the registry
"""

from __future__ import annotations

import sys
from pathlib import Path

from axialzoo.spec import Model, aliases, get_entry, list_models

PACKAGE = Path(__file__).resolve().parent.parent / "axialzoo"
TORCH = {"tensor": "Tensor", "maps": "dict[str, Tensor]", "pyramids": "dict[str, list[Tensor]]"}


def output_type(spec: Model) -> str:
    """Return the type of the forward output of a model in PyTorch."""
    return TORCH[spec.head.output_structure] if spec.head is not None else "Any"


def text(framework: str) -> str:
    """Return the file of a framework."""
    names = [(name, get_entry(name).spec) for model in list_models() for name in (model, *aliases(model))]
    listed = "".join(f'    "{name}",\n' for name, _ in sorted(names))
    if framework == "torch":
        head = "from torch import Tensor\n\nfrom axialzoo.torch.factory import Builder, builder\n"
        lines = [f'{name}: Builder[{output_type(spec)}] = builder("{name}")\n' for name, spec in names]
    else:
        head = "from axialzoo.keras.factory import Builder, builder\n"
        lines = [f'{name}: Builder = builder("{name}")\n' for name, _ in names]
    note = f'"""The named models in {"PyTorch" if framework == "torch" else "Keras"}. Written by tools/models.py from the registry."""\n'
    return f"{note}\nfrom __future__ import annotations\n\n{head}\n__all__ = [\n{listed}]\n\n{''.join(lines)}"


def main() -> int:
    stale = 0
    for framework in ("torch", "keras"):
        path, new = PACKAGE / framework / "zoo.py", text(framework)
        if "--check" in sys.argv:
            stale += not path.exists() or path.read_text() != new
        else:
            path.write_text(new)
    return stale


if __name__ == "__main__":
    sys.exit(main())
