"""What a campaign amounts to: counts, the share killed, and how far a sample speaks for the whole. Runs nothing."""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator

from mutation.memory import Outcome

__all__ = ["interval", "share_killed", "table"]


def share_killed(counts: Counter[Outcome]) -> float:
    """Killed over killed and survived; 0 if neither occurred."""
    return counts[Outcome.KILLED] / max(1, counts[Outcome.KILLED] + counts[Outcome.SURVIVED])


def interval(successes: int, trials: int, confidence: float = 0.95) -> tuple[float, float]:
    """The exact confidence interval of a share (Clopper and Pearson, 1934): both binomial tails hold half the rest.

    Args:
        successes: of `trials`, which is at least 1.
        confidence: between 0 and 1. For a sample without replacement the interval errs on the safe side.
    """
    tail = (1 - confidence) / 2
    low = 0.0 if successes == 0 else _root(lambda p: 1 - _at_most(successes - 1, trials, p) - tail)
    high = 1.0 if successes == trials else _root(lambda p: tail - _at_most(successes, trials, p))
    return low, high


def table(outcomes: Iterable[tuple[str, Outcome]]) -> Iterator[str]:
    """Lines with the counts of each outcome by operator, and of all."""
    counts = Counter(outcomes)
    yield f"{'':10}" + "".join(f"{outcome:>11}" for outcome in Outcome)
    for operator in sorted({operator for operator, _ in counts}):
        yield f"{operator:10}" + "".join(f"{counts[operator, outcome]:11}" for outcome in Outcome)
    totals = [sum(n for (_, outcome), n in counts.items() if outcome == column) for column in Outcome]
    yield f"{'all':10}" + "".join(f"{total:11}" for total in totals)


def _at_most(successes: int, trials: int, p: float) -> float:
    return math.fsum(_exactly(k, trials, p) for k in range(successes + 1))


def _exactly(k: int, trials: int, p: float) -> float:
    ways = math.lgamma(trials + 1) - math.lgamma(k + 1) - math.lgamma(trials - k + 1)
    return math.exp(ways + k * math.log(p) + (trials - k) * math.log1p(-p))


def _root(rising: Callable[[float], float]) -> float:
    low, high = 0.0, 1.0
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (low, middle) if rising(middle) > 0 else (middle, high)
    return (low + high) / 2
