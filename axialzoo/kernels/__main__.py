"""``python -m axialzoo.kernels [FOLDER]``: compiles the kernel into a folder, by default where it is looked for."""

import sys

from axialzoo.kernels.build import BuildError, cache_folder, compile_library

try:
    print(compile_library(sys.argv[1] if len(sys.argv) > 1 else cache_folder()))
except BuildError as error:
    sys.exit(f"error: {error}")
