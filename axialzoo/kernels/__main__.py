"""``python -m axialzoo.kernels [FOLDER]``: compiles the kernel into a folder, by default where it is looked for."""

import sys

from axialzoo.kernels.build import cache_folder, compile_library

print(compile_library(sys.argv[1] if len(sys.argv) > 1 else cache_folder()))
