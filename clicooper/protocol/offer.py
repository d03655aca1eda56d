"""What a trainer reads of a job before it locks a stake: terms, specification and release, all of which must fit.

Whether the release keeps its privacy claim is for auditors to judge; here it is enough that it can be trained on.
"""

from __future__ import annotations

from clicooper.audit.artifacts import Artifacts
from clicooper.audit.checks.release import compare_shape
from clicooper.errors import Contradiction, MarkCapacityError, SpecError
from clicooper.learning.runtime import require_class
from clicooper.learning.segments import try_model
from clicooper.types import Head, JobParams

__all__ = ["check_offer"]

HINT = "do not join; ask the owner for a job whose terms, specification and release fit each other"


def check_offer(artifacts: Artifacts, genesis: Head, params: JobParams) -> None:
    """Reads all that a seat's work depends on, and refuses a job that nobody could do it in, or not on this machine.

    Args:
        artifacts: of the job as it was created.
        genesis, params: what the trainer agreed to.

    Raises:
        SpecError: other terms than agreed, or a specification or release that does not fit.
        MarkCapacityError: a seat's segment cannot hold its marks.
        RuntimeMismatch: the work is to be done in another runtime class than this machine's.
        UntrustedModel: the model is code that this trainer has not agreed to run.
        ModelUnusable: that code is not here, is another than the specification's, or fails.
        ArtifactMissing, ArtifactCorrupt: specification or release are not there, or not intact.
    """
    try:
        _check(artifacts, genesis, params)
    except Contradiction as e:
        kind = MarkCapacityError if isinstance(e.__cause__, MarkCapacityError) else SpecError
        raise kind(e.message, hint=e.hint or HINT) from e


def _check(artifacts: Artifacts, genesis: Head, params: JobParams) -> None:
    """As ``check_offer``; what the owner published against the rules is its ``Contradiction`` here."""
    history, spec = artifacts.history, artifacts.spec
    if (history.genesis, history.params) != (genesis, params):
        raise SpecError(f"job {history.job} has other terms on chain than those agreed", hint=HINT)
    require_class(spec.runtime_class)
    try_model(spec.model, spec.marks, params.rounds)
    for one in compare_shape(spec, artifacts.release, artifacts.activations):
        if one.expected != one.actual:
            what = f"{one.name} of release {spec.activation_release}: {one.actual}, where the job needs {one.expected}"
            raise SpecError(what, hint=HINT)
