"""Known vulnerabilities of locked packages: python scripts/audit.py requirements.lock requirements.torch.

Exits with 1 when there are any. Where the vulnerability service cannot be reached it says so and exits with 0.
"""

from __future__ import annotations

import json
import subprocess
import sys


def audit(files: list[str]) -> tuple[list[str], int, int]:
    """Vulnerabilities as text, and how many packages could and could not be looked up."""
    run = [sys.executable, "-m", "pip_audit", "--disable-pip", "--no-deps", "--progress-spinner", "off"]
    found, known, unknown = [], 0, 0
    for file in files:
        done = subprocess.run([*run, "--timeout", "10", "--format", "json", "-r", file], capture_output=True, text=True)
        if not done.stdout.strip():  # no answer from the service, or a broken file: pip-audit says which
            raise ConnectionError((done.stderr.strip().splitlines() or ["no answer"])[-1])
        for package in json.loads(done.stdout)["dependencies"]:
            known, unknown = known + ("vulns" in package), unknown + ("vulns" not in package)
            for flaw in package.get("vulns", []):
                fixed = ", ".join(flaw["fix_versions"]) or "no version yet"
                found.append(f"{package['name']} {package['version']}: {flaw['id']}, fixed in {fixed}")
    return found, known, unknown


def main() -> int:
    try:
        found, known, unknown = audit(sys.argv[1:])
    except ConnectionError as error:
        print(f"audit skipped: no vulnerability service ({error})")
        return 0
    if not known:
        print("audit skipped: the vulnerability service cannot be reached from here")
        return 0
    print(*found, sep="\n", end="\n" if found else "")
    print(f"audited {known} packages ({unknown} unknown to the service): {len(found)} vulnerabilities")
    return bool(found)


if __name__ == "__main__":
    raise SystemExit(main())
