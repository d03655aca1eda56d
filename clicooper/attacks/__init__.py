"""Attacks on what a job publishes, run by the parties themselves before and after they trust it.

Evaluation only: nothing below the command line imports this package. Every attack states what its attacker knows, and
comes with a floor (what an attacker without the observation reaches) and a control (the same attacker with what is
public anyway).
"""

from clicooper.extras import extra

with extra("evaluate"):
    import skimage  # noqa: F401 - said here once, for every attack that uses a part of them
    import sklearn  # noqa: F401
