"""Constructed MLPs in a one-layer transformer: task, model, training, attention solved for, and proofs (section 5)."""

from factcore.transformer.attention import AttentionSolve, certified_noise, check_plain, solve_attention, worst_weights
from factcore.transformer.certify import certified_recall, certified_tolerance
from factcore.transformer.model import FactTransformer, insert, rms_norm, rope_turns, rotate
from factcore.transformer.task import JUNK, LENGTH, RUN, asked, recall_batch
from factcore.transformer.train import RecallTraining, adaptive_recall, train_recall, transformer_recall

__all__ = ["FactTransformer", "insert", "rms_norm", "rope_turns", "rotate", "JUNK", "LENGTH", "RUN", "asked"]
__all__ += ["recall_batch", "RecallTraining", "adaptive_recall", "train_recall", "transformer_recall"]
__all__ += ["AttentionSolve", "certified_noise", "check_plain", "solve_attention", "worst_weights"]
__all__ += ["certified_recall", "certified_tolerance"]
