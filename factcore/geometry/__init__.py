"""The geometry of the values: decodability and its certificates, whitening, what is hard to tell apart (section 3)."""

from factcore.geometry.confusable import Confusable, most_confusable
from factcore.geometry.many import QUICK_FROM, quick_separators, undecodable
from factcore.geometry.solver import Decodability, decodability
from factcore.geometry.whitening import whiten

__all__ = ["Confusable", "Decodability", "decodability", "most_confusable"]
__all__ += ["QUICK_FROM", "quick_separators", "undecodable", "whiten"]
