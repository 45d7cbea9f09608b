"""How the command line is taken apart: options between questions, numbers in their ranges."""

from __future__ import annotations

import argparse
from typing import Any, NoReturn

from factapp.terminal import message


class Parser(argparse.ArgumentParser):
    mixed = True

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Options may stand between questions, too, which argparse does not do by itself below a command."""
        if self._subparsers is not None or not self.mixed:
            return super().parse_known_args(args, namespace)
        self.mixed = False
        try:
            return self.parse_known_intermixed_args(args, namespace)
        finally:
            self.mixed = True

    def exit(self, status: int = 0, said: str | None = None) -> NoReturn:
        super().exit(status, said and message(said))


def threshold(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"a number is needed, got {message(text)!r}") from None
    if not 0 <= number <= 1:
        raise argparse.ArgumentTypeError(f"a margin lies between 0 and 1, got {message(text)!r}")
    return number


def positive(text: str) -> int:
    if not text.isdecimal() or not text.isascii() or len(text) > 18 or int(text) < 1:
        raise argparse.ArgumentTypeError(f"a positive integer is needed, got {message(text)!r}")
    return int(text)
