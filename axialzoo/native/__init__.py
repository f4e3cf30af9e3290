"""The native runtime: a spec, tensors and a size to a flat program, run by the kernel in one call or by numpy. No framework."""

from axialzoo.native.builder import NoPlan
from axialzoo.native.engine import Engine
from axialzoo.native.planner import check_plan, plan
from axialzoo.native.program import Program
from axialzoo.native.weights import Weights

__all__ = ["Engine", "NoPlan", "Program", "Weights", "check_plan", "plan"]
