"""Registry of the plan of each head."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from axialzoo.native.builder import Builder
from axialzoo.native.program import Maps, View
from axialzoo.spec import Backbone
from axialzoo.spec.heads.head import HeadRegistry

# the head, its backbone and the endpoints it takes in, to outputs by name
PLANS: HeadRegistry[Callable[[Builder, Any, Backbone, list[View]], Maps]] = HeadRegistry("the native runtime has no plan for it")
register_plan = PLANS.register
