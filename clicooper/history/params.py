"""The terms of a job: what the contract demands of ``createJob``'s parameters, asked again of a record.

A record is anybody's text. Terms that no contract accepted would otherwise reach arithmetic, encoders and loops
that rely on their limits. What happens under the terms is followed in ``state``.
"""

from __future__ import annotations

from collections.abc import Iterator

from clicooper.types import ZERO_ADDRESS, Address, JobParams

__all__ = ["MAX_KEY_RECORD_BYTES", "refuse_params"]

MAX_KEY_RECORD_BYTES = 512
MAX_SEATS = 32
MAX_WINDOW_S = 90 * 86_400
UINT32_LIMIT = 1 << 32
UINT96_LIMIT = 1 << 96


def refuse_params(owner: Address, params: JobParams) -> str:
    """Why the contract would have refused to create the job; empty where it would not."""
    return next(_objections(owner, params), "")


def _objections(owner: Address, params: JobParams) -> Iterator[str]:
    if not 2 <= params.seats <= MAX_SEATS:
        yield f"has {params.seats} seats, where 2 to {MAX_SEATS} are allowed"
    if not 1 <= params.rounds < UINT32_LIMIT:
        yield f"has {params.rounds} rounds"
    if params.arbiter in {ZERO_ADDRESS, owner}:
        yield "names nobody or the owner as arbiter"
    if params.allow_list and len(params.allow_list) != params.seats:
        yield f"reserves {len(params.allow_list)} seats of {params.seats}"
    for name, value in vars(params).items():
        if name.endswith("_wei") and value >= UINT96_LIMIT:
            yield f"names an amount above 96 bits as {name}"
        if name.endswith("_window_s") and not 1 <= value <= MAX_WINDOW_S:
            yield f"has a {name} of {value} s, where 1 to {MAX_WINDOW_S} are allowed"
    if params.owner_bond_wei < params.pay_wei * params.seats + params.arbiter_fee_wei:
        yield "has an owner's bond below a round's pay and the arbiter's fee"
    if params.challenge_bond_wei < max(1, params.arbiter_fee_wei):
        yield "has a challenge bond of nothing, or one below the arbiter's fee"
    if params.stake_wei < 2 * params.challenge_bond_wei + params.arbiter_fee_wei:
        yield "has a stake below two challenge bonds and the arbiter's fee"
    if params.silence_penalty_wei > params.stake_wei:
        yield "has a silence penalty above the stake"
