"""``python -m axialzoo.ops.kernels [FOLDER]``: compiles the kernel into a folder, by default where it is looked for, and what calls it from
the frameworks that are installed."""

import sys

from axialzoo.ops.kernels.bindings import compile_bindings
from axialzoo.ops.kernels.build import BuildError, cache_folder, compile_library

try:
    folder = sys.argv[1] if len(sys.argv) > 1 else cache_folder()
    print(compile_library(folder))
    for path in compile_bindings(folder):
        print(path)
except BuildError as error:
    sys.exit(f"error: {error}")
