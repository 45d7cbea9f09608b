"""Where the rows of result tables come from: the caption that names a table's commits, and what a table must tell.

``python -m factbook.provenance`` is part of `make lint`: every table that a page or a verdict reads must say, row by
row, by which commit, on which device, by how many threads, in how many processor seconds and for which profile it was
computed; and no row may come from code that was not committed, that this repository does not have, or that is older
than `SEPARATED`. Tables that do not, and cannot be computed afresh now, stand in `ALLOWED_FILE` with the reason.
"""

import re
import subprocess
import sys
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import pandas as pd

from factbook.store import PROFILES, read_table

ROOT = Path(__file__).resolve().parents[1]
ASKED = ("commit", "device", "threads", "cpu_s", "profile")
CPU_ALIASES = ("cpu_s", "cpu_seconds", "batched_cpu_s")  # of studies that measure it themselves
ALLOWED_FILE = ROOT / "results" / "allowed.csv"
SEPARATED = "1cd6786"  # from here on each purpose draws from a random stream of its own (book/reproducibility.md)
WORDS = re.compile(r"""["'](\w+)["']""")
NO_STUDY = {"notebooks"}  # seconds of whole pages, measured by scripts
READERS = ("notebooks/*.py", "factbook/*.py", "factbook/*/*.py", "book/_ext/*.py")


def at_commits(commits: Iterable[str]) -> str:
    """Commits in the order of their rows: "at 47c6255, 9e6526a"; of more than three the ends and how many."""
    given = list(dict.fromkeys(commits))
    return f"at {', '.join(given)}" if len(given) <= 3 else f"at {given[0]} … {given[-1]} ({len(given)} commits)"


def caption(table: pd.DataFrame, name: str) -> str:
    """The table and its commits: "capacity.csv at 47c6255, 9e6526a"."""
    return f"{name}.csv {at_commits(table.commit.astype(str))}"


def tables_read(root: Path = ROOT) -> list[str]:
    """Names of the tables that pages, verdicts and figures read: those in results/ that stand, quoted, in a source.

    A name may reach the function that reads by way of another (`prose.findings`), so any quoted word counts.
    """
    sources = [path.read_text() for pattern in READERS for path in sorted(root.glob(pattern))]
    named = {word for source in sources for word in WORDS.findall(source)}
    return sorted(named & {path.stem for path in (root / "results").glob("*/*.csv")} - NO_STUDY)


def problems(table: pd.DataFrame, root: Path = ROOT) -> list[str]:
    """What a table does not tell of its rows: missing columns, empty cells, commits that nobody can go back to."""
    found = []
    for column in ASKED:
        names = CPU_ALIASES if column == "cpu_s" else (column,)
        have = [name for name in names if name in table.columns]
        if not have:
            found.append(f"no column {column}")
        elif empty := int((table[have[0]].isna() | (table[have[0]].astype(str) == "")).sum()):
            found.append(f"{empty} rows without {column}")
    commits = table.commit.astype(str)
    dirty = commits.str.endswith("+") | (commits == "unknown")
    ages = commits[~dirty].map({commit: age(commit, root) for commit in set(commits[~dirty])})
    for count, what in (
        (dirty.sum(), "from code that was not committed"),
        ((ages == "older").sum(), f"from before {SEPARATED}, when purposes shared random streams"),
        ((ages == "missing").sum(), "of commits that this repository does not have"),
    ):
        if count:
            found.append(f"{count} of {len(table)} rows {what}")
    return found


@cache
def age(commit: str, root: Path, since: str = SEPARATED) -> str:
    """'newer' for a commit that descends from ``since``, 'older', 'missing', or 'unknown' without that history."""

    def git(*words: str) -> int:
        return subprocess.run(["git", "-C", str(root), *words], capture_output=True).returncode

    if git("cat-file", "-e", f"{since}^{{commit}}"):  # no checkout with its history
        return "unknown"
    if git("cat-file", "-e", f"{commit}^{{commit}}"):
        return "missing"
    return "older" if git("merge-base", "--is-ancestor", since, commit) else "newer"


def allowed(path: Path = ALLOWED_FILE) -> dict[str, str]:
    """Tables (profile/name) that may fail, and why."""
    if not path.is_file():
        return {}
    rows = pd.read_csv(path, keep_default_na=False)
    return dict(zip(rows.table, rows.reason))


def check(root: Path = ROOT) -> tuple[dict[str, list[str]], list[str]]:
    """The problems of each table that is read, by profile/name, and names on the list of exceptions that need none."""
    found = {}
    for name in tables_read(root):
        for profile in PROFILES:
            path = root / "results" / profile / f"{name}.csv"
            if path.is_file() and (wrong := problems(read_table(path), root)):
                found[f"{profile}/{name}"] = wrong
    return found, sorted(set(allowed(root / "results" / "allowed.csv")) - set(found))


def main() -> int:
    found, needless = check()
    excused = allowed()
    for name, wrong in found.items():
        if name not in excused:
            print(f"results/{name}.csv: {'; '.join(wrong)}. Compute it afresh, or say why not in {ALLOWED_FILE.name}")
    for name in needless:
        print(f"{ALLOWED_FILE.name}: {name} needs no exception any more; remove its line")
    for name in sorted(set(found) & set(excused)):
        if not excused[name].strip():
            print(f"{ALLOWED_FILE.name}: {name} has no reason")
    bad = set(found) - set(excused) or needless or [n for n in found if n in excused and not excused[n].strip()]
    print(f"{len(found)} tables without full provenance, {len(set(found) & set(excused))} of them on the list")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
