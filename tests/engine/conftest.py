from tests.cli.conftest import axialzoo, axialzoo_process, folder  # noqa: F401 (a checkpoint with random weights; the command line)
from tests.engine.made import pictures  # noqa: F401
