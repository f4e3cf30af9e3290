"""What pyproject.toml cannot say: a wheel holds the compiled kernel where there is a compiler, and is pure Python elsewhere.

An editable install compiles nothing: the kernel is then compiled at its first use.
"""

import runpy
from pathlib import Path

from setuptools import Distribution, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_py import build_py

KERNELS = Path("axialzoo") / "ops" / "kernels"
BUILD = runpy.run_path(str(Path(__file__).resolve().parent / KERNELS / "build.py"))  # of the standard library alone


class Package(Distribution):
    def has_ext_modules(self):
        """Whether the wheel is of one platform."""
        return BUILD["compiler"]() is not None


class Build(build_py):
    def run(self):
        super().run()
        if not self.editable_mode:
            try:
                BUILD["compile_library"](Path(self.build_lib) / KERNELS)
            except BUILD["BuildError"] as error:
                self.warn(f"without the fused kernel, plain operations serve: {error}")


class Wheel(bdist_wheel):
    def get_tag(self):
        """For every Python 3: the kernel knows nothing of Python."""
        return "py3", "none", super().get_tag()[2]


setup(distclass=Package, cmdclass={"build_py": Build, "bdist_wheel": Wheel})
