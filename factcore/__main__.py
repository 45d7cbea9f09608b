"""python -m factcore: the command line."""

from factcore.cli import main

raise SystemExit(main())
