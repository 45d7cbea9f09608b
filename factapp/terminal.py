"""What reaches a terminal: text that cannot drive it, on any encoding, and errors when it cannot be written."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable

LONGEST = 2000  # characters of a message
# Controls (C0, DEL, C1), line separators, marks that turn the direction of writing, and halves of a UTF-16 pair.
_DRIVING = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def shown(text: str, *, lines: bool = False) -> str:
    """``text`` with escapes for what would drive a terminal, such as ``\\x1b``; ``lines`` leaves line breaks alone."""
    return _DRIVING.sub(lambda found: found[0] if lines and found[0] == "\n" else _escape(found[0]), text)


def message(text: str) -> str:
    """A message for stderr: escaped, and cut where it is longer than `LONGEST`."""
    text = shown(text, lines=True)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 40]}… ({len(text) - LONGEST + 40:,} characters more)"


def as_json(thing: object) -> str:
    """JSON for stdout: infinite and undefined numbers are null, what drives a terminal or it cannot show is escaped."""
    sound = json.loads(json.dumps(thing), parse_constant=lambda _: None)
    text = json.dumps(sound, indent=2, ensure_ascii=False)
    text = "\n".join(_DRIVING.sub(lambda found: f"\\u{ord(found[0]):04x}", line) for line in text.split("\n"))
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        return json.dumps(sound, indent=2)
    return text


def say(text: str) -> None:
    """A remark on stderr."""
    print(message(text), file=sys.stderr, flush=True)


def printing(run: Callable[[], None]) -> None:
    """Run what prints. ValueError when the output cannot be written; a reader who has left is no error.

    What the encoding of the terminal lacks is printed escaped.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        run()
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        _discard_output()
    except OSError as error:
        if isinstance(error, ValueError):
            raise
        _discard_output()
        raise ValueError(f"cannot write the output: {error}") from error


def _discard_output() -> None:
    """What is left in the buffer of stdout goes nowhere, or Python would complain about it when it ends."""
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
    except (OSError, ValueError, AttributeError):  # no file behind it
        pass


def _escape(character: str) -> str:
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")
