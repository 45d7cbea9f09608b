"""Where a run worked, and what code it ran."""

import subprocess
from pathlib import Path

import torch


def commit() -> str:
    """Short hash of the checkout that runs, with + when it has local changes; 'unknown' outside of git."""

    def git(*words: str) -> str:
        run = ["git", "-C", str(Path(__file__).resolve().parent), *words]
        return subprocess.run(run, capture_output=True, text=True, check=True).stdout.strip()

    try:
        return git("rev-parse", "--short", "HEAD") + ("+" if git("status", "--porcelain", "--", "*.py") else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def device_name(device: str) -> str:
    """The name of the GPU, or 'cpu' with the number of threads; ValueError for a GPU that is not there."""
    if torch.device(device).type != "cuda":
        return f"cpu x{torch.get_num_threads()}"
    if (torch.device(device).index or 0) >= (count := torch.cuda.device_count()):
        raise ValueError(f"device {device!r} is not there: torch sees {count} CUDA devices")
    return torch.cuda.get_device_name(device)
