"""A head and its task that live here alone: how much of a picture each class covers. `register` makes them known."""

from tests.contract.toy.spec import Toy

__all__ = ["Toy"]
