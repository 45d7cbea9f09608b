"""What every test finds around it, and how long the smoke notebooks took."""

import os
import re

# Before torch is imported, and for the kernels that nbval starts: the references were made with one thread (sums keep
# one order), with waiting threads asleep, without progress bars, and from the committed tables.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ["FACTCORE_PROGRESS"] = "0"
os.environ["PYDEVD_DISABLE_FILE_VALIDATION"] = "1"  # silences a warning of the kernel's debugger
os.environ.pop("FACTCORE_RESULTS", None)

BUDGET = 240  # seconds for all smoke notebooks, each run once, on two free cores


def pytest_terminal_summary(terminalreporter):
    """Seconds of each reference that nbval executed, the start of its kernel included."""
    seconds: dict[str, float] = {}
    for report in (report for reports in terminalreporter.stats.values() for report in reports):
        if hasattr(report, "duration") and (name := re.search(r"references/(\w+)\.ipynb::", report.nodeid)):
            seconds[name[1]] = seconds.get(name[1], 0.0) + report.duration
    if seconds:
        each = ", ".join(f"{name} {took:.0f}" for name, took in sorted(seconds.items(), key=lambda pair: -pair[1]))
        total = sum(seconds.values())
        terminalreporter.write_line(
            f"{len(seconds)} smoke notebooks, each run once: {total:.0f} s (budget for all: {BUDGET} s). {each}"
        )
