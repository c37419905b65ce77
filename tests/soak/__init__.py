"""Months in an hour: credentials of seconds under threads, event loops and forks. `python -m soak` in tests/."""
