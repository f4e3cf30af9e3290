from tests.cli.conftest import folder  # noqa: F401 (a checkpoint with random weights)
