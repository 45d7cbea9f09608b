"""The geometry of the values: decodability and its certificates (paper section 3)."""

from factcore.geometry.many import QUICK_FROM, quick_separators, undecodable
from factcore.geometry.solver import Decodability, decodability

__all__ = ["Decodability", "decodability", "QUICK_FROM", "quick_separators", "undecodable"]
