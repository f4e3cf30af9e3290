"""A checkpoint as a function of arrays and pictures: in any framework, back end and precision. Library code: nothing is printed."""

from axialzoo.runtime.factory import create_model
from axialzoo.runtime.publishing import publish
from axialzoo.runtime.runner import Runner, load_runner

__all__ = ["Runner", "create_model", "load_runner", "publish"]
