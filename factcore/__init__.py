"""factcore: MLPs that store facts because their weights were averaged or solved for, not trained.

    facts = spherical_facts(1024, 64)      # keys, values and the map between them
    mlp = construct(facts)                 # a torch module, R^d → R^d
    recall(mlp, facts)                     # 1.0

A companion to "Constructing Efficient Fact-Storing MLPs for Transformers" (arXiv 2512.00207).
"""

from factcore.build import construct
from factcore.data import airport_facts, pair_facts
from factcore.facts import FactSet, spherical_facts
from factcore.geometry import Decodability, decodability
from factcore.mlp import GatedMLP
from factcore.scoring import decode, lipschitz, margins, recall
from factcore.search import SmallestWidth, smallest_width

__version__ = "0.2.0"
__all__ = ["FactSet", "airport_facts", "pair_facts", "spherical_facts"]
__all__ += ["Decodability", "GatedMLP", "SmallestWidth", "construct", "decodability", "smallest_width"]
__all__ += ["decode", "lipschitz", "margins", "recall"]
