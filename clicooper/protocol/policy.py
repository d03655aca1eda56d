"""What an owner decides by: which checks are fatal, how much is sampled, what "could not check" means to it.

The rule itself is in ``decision``; docs/verify.md explains every key of a policy file.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, ValidationError, model_validator

from clicooper.audit.verdict import Check
from clicooper.errors import UsageError
from clicooper.files import read_bounded
from clicooper.setting_sources import TypedModel
from clicooper.user_text import parse_toml

__all__ = ["ALWAYS_FATAL", "Detection", "Policy", "Treatment", "read_policy"]

ALWAYS_FATAL = frozenset(
    {Check.RECORD, Check.MANIFEST, Check.LINKS, Check.ARTIFACTS, Check.STATE, Check.BOUNDARY, Check.REPLAY}
)
"""Without these, whatever the others confirm is about something else than the work."""

MAX_POLICY_BYTES = 1 << 16
MAX_SAMPLES = 10**6

Treatment = Literal["wait", "challenge"]

Share = Annotated[float, Field(gt=0, lt=1)]


class Detection(TypedModel):
    """A cheat to catch: a seat that cheats in ``share`` of its intervals, with at least ``probability``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    share: Share
    probability: Share

    @model_validator(mode="after")
    def _check_samples(self) -> Self:
        if math.log1p(-self.probability) < MAX_SAMPLES * math.log1p(-self.share):
            raise ValueError(f"catching it takes more than {MAX_SAMPLES} samples")
        return self

    @property
    def samples(self) -> int:
        """The least q with ``1 - (1 - share)^q >= probability``."""
        return math.ceil(math.log1p(-self.probability) / math.log1p(-self.share))


class Policy(TypedModel):
    """An owner's rule.

    Attributes:
        samples: intervals that are drawn for each seat.
        detect: sets ``samples`` by what they are to catch, instead of by number.
        fatal: failed checks for which a round is not paid; those of ``ALWAYS_FATAL`` are always among them.
        withheld: what to do about a seat whose published data are not there by the deadline.
        publish_deadline_s: seconds that a seat has to publish what was drawn.
        progress_floor: accuracy on the owner's held-out records that a round has to exceed; None takes the share of
            their most frequent class, which naming it always would give.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    samples: Annotated[int, Field(ge=1, le=MAX_SAMPLES)] = 1
    detect: Detection | None = None
    fatal: frozenset[Check] = frozenset(Check)
    withheld: Treatment = "challenge"
    publish_deadline_s: Annotated[float, Field(ge=0, le=90 * 86_400, allow_inf_nan=False)] = 600.0
    progress_floor: Annotated[float, Field(ge=0, le=1)] | None = None

    @model_validator(mode="after")
    def _check_fatal(self) -> Self:
        if missing := sorted(check.value for check in ALWAYS_FATAL - self.fatal):
            raise ValueError(f"fatal must name {', '.join(missing)}: without them nothing is verified")
        return self

    @property
    def draws(self) -> int:
        """Intervals that are drawn for each seat."""
        return self.samples if self.detect is None else self.detect.samples


def read_policy(path: Path | None, **given: object) -> Policy:
    """A policy file (TOML).

    Args:
        path: None takes the defaults.
        given: keys that stand where the file leaves them open.

    Raises:
        UsageError: it cannot be read, names a key that does not exist, or a value that cannot be used.
    """
    if path is None:
        return Policy.model_validate(given)
    hint = "docs/verify.md shows one"
    data = read_bounded(path, MAX_POLICY_BYTES, what="policy", error=UsageError, hint=hint)
    try:
        written = parse_toml(data)
    except ValueError as e:
        raise UsageError(f"cannot read the policy {path}: {' '.join(str(e).split())}", hint=hint) from e
    if {"samples", "detect"} <= set(written):
        raise UsageError(f"{path}: samples and detect both say how much is drawn", hint="keep one of them")
    try:
        return Policy.model_validate({**given, **written})
    except ValidationError as e:
        first = e.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "fatal"
        reason = first["msg"].removeprefix("Value error, ")
        hint = f"its keys are {', '.join(Policy.model_fields)}; docs/verify.md explains them"
        raise UsageError(f"{path}: {where}: {reason[:1].lower()}{reason[1:]}", hint=hint) from e
