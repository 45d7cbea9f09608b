"""The claims of the papers against the committed tables: one function a claim, and a verdict by its rule.

To add a row, write a function under ``@claim`` in a file beside this one. It gets ``tables``, so that
``tables("capacity")`` is results/PROFILE/capacity.csv, and returns a `Finding` whose verdict is one of the tests of
`factbook.claims.rules`; what it says, its rule, its protocol and what would test it stand beside the verdict. The
paper profile is used where its tables are there, the laptop profile otherwise. Where a table is missing, holds too
little or cannot vary (raise `NoTable`), the verdict is "not testable here". Nothing is typed in: a number comes from a
table or not at all.
"""

# In this order their rows fill CLAIMS and the page.
from factbook.claims import challenge, paper, embeddings, transformer, editing, memories, ours  # noqa: F401, I001
from factbook.claims.judging import CLAIMS, SOURCES, VERDICTS, Claim, Finding, Judged, NoTable, about, evaluate

__all__ = ["CLAIMS", "SOURCES", "VERDICTS", "Claim", "Finding", "Judged", "NoTable", "about", "evaluate"]
