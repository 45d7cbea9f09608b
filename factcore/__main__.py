"""python -m factcore: the command line."""

from factcore.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
