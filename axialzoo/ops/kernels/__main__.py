"""``python -m axialzoo.ops.kernels [FOLDER]``: compile the kernel and the bindings of the installed frameworks, by default into the user's
cache."""

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
