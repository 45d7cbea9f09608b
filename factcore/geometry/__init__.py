"""The geometry of the values: decodability and its certificates, whitening, what is hard to tell apart (section 3)."""

from factcore.geometry.many import QUICK_FROM, quick_separators, undecodable
from factcore.geometry.shape import Confusable, most_confusable, whiten
from factcore.geometry.solver import Decodability, decodability

__all__ = ["Confusable", "Decodability", "decodability", "most_confusable"]
__all__ += ["QUICK_FROM", "quick_separators", "undecodable", "whiten"]
