"""What a trainer reads of a job before it locks a stake: terms, specification and release, all of which must fit.

Whether the release keeps its privacy claim is for auditors to judge; here it is enough that it can be trained on.
"""

from __future__ import annotations

from clicooper.audit.artifacts import Artifacts
from clicooper.audit.checks.release import compare_shape
from clicooper.errors import SpecError
from clicooper.learning.segments import Segment, initial_state
from clicooper.types import Head, JobParams
from clicooper.watermark.carriers import MarkParams, check_capacity

__all__ = ["check_offer"]

HINT = "do not join; ask the owner for a job whose terms, specification and release fit each other"


def check_offer(artifacts: Artifacts, seat: int, genesis: Head, params: JobParams) -> None:
    """Reads all that a seat's work depends on, and refuses a job that nobody could do it in.

    Args:
        artifacts: of the job as it was created.
        genesis, params: what the trainer agreed to.

    Raises:
        SpecError: other terms than agreed, or a specification or release that does not fit.
        MarkCapacityError: the seat's segment cannot hold its marks.
        UntrustedModel: the model is code that this trainer has not agreed to run.
        ArtifactMissing, ArtifactCorrupt: specification or release are not there, or not intact.
    """
    history, spec = artifacts.history, artifacts.spec
    if (history.genesis, history.params) != (genesis, params):
        raise SpecError(f"job {history.job} has other terms on chain than those agreed", hint=HINT)
    weights = initial_state(spec.model, spec.seeds, seat)
    Segment(spec.model, spec.training, seat, weights)
    check_capacity(weights, MarkParams(spec.marks.bits, spec.marks.strength), params.rounds)
    for one in compare_shape(spec, artifacts.release, artifacts.activations):
        if one.expected != one.actual:
            what = f"{one.name} of release {spec.activation_release}: {one.actual}, where the job needs {one.expected}"
            raise SpecError(what, hint=HINT)
