"""The claims of the papers against the committed tables: one function a claim, and a verdict by its rule.

To add a row, write a function under ``@claim`` in a file beside this one. It gets ``tables``, so that
``tables("capacity")`` is results/PROFILE/capacity.csv, and returns a `Finding`; its rule stands in the table beside the
verdict. The paper profile is used where its tables are there, the laptop profile otherwise. Where a table is missing,
or has too few rows (raise `NoTable`), the verdict is "not tested". Nothing is typed in: a number comes from a table or
not at all.
"""

from factbook.claims import challenge, memories, paper, transformer  # noqa: F401  (their rows fill CLAIMS, in this order)
from factbook.claims.judging import CLAIMS, SOURCES, VERDICTS, Claim, Finding, NoTable, about, evaluate

__all__ = ["CLAIMS", "SOURCES", "VERDICTS", "Claim", "Finding", "NoTable", "about", "evaluate"]
