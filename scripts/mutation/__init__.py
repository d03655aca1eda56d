"""Mutation testing of the contracts, for `scripts/mutate.py`. Runs in `.venv-analysis`; no part of the package."""
