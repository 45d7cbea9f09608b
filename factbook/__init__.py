"""What the book's notebooks share: the resumable store of runs, fits, figure style, the studies."""
