"""Progress bars: shown after five seconds, gone when done, hidden by FACTCORE_PROGRESS=0."""

import os
from collections.abc import Iterable
from typing import Any

from tqdm import tqdm


def progress_bar(steps: Iterable[Any] | None, desc: str, **options: Any) -> Any:
    """A tqdm bar over ``steps``, or one that counts by hand up to the option ``total``; ``options`` are tqdm's."""
    hide = os.environ.get("FACTCORE_PROGRESS") == "0"
    return tqdm(steps, desc=desc, delay=5, leave=False, disable=hide, **options)
