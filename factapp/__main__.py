"""python -m factapp: the command line."""

from factapp.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
