"""The adversary zoo: cheating parties, each honest but for the one thing that its name says, on the real code.

Trainers, one module a family: ``work`` (other work than the job's), ``spoofs`` (invented paths), ``batches`` (seat 0
and the data), ``boundary`` (tensors where seats meet), ``claims`` (lies about honest work), ``states`` (that no
training gives), ``manifests``, ``marks``, ``grants``, ``availability`` (nothing behind a commitment), ``coalitions``.
Others: ``rule_breakers`` (against the contract), ``owners``, ``forgers`` (of records). ``registry`` names for each the
check that must catch it and whom that must name, ``stage`` plays it, ``python -m tests.adversaries.table`` writes it
into docs/figures/adversaries.md. The liars of ``vouching`` need rounds with receipts, which the registry's have not.

A class says in its docstring what it does, and ends in "Caught by `check`; names ...": a test holds it to the registry.
"""

from tests.adversaries._invented import NOWHERE, OTHER_KEY
from tests.adversaries.availability import (
    CommitsGarbage,
    CommitsUnpublished,
    CopiesPredecessorsManifest,
    SealsSomethingElse,
    SealsUnderAnotherSecret,
)
from tests.adversaries.batches import ComputesOnAnotherBatch, RepeatsOneBatch
from tests.adversaries.boundary import (
    AltersActivationAtBoundary,
    AltersGradientAtBoundary,
    ScalesItsGradient,
    ScalesItsOutput,
)
from tests.adversaries.claims import (
    DropsIntervalStates,
    FabricatesTranscript,
    LiesAboutMetrics,
    StopsHalfWay,
    TrainedCheat,
)
from tests.adversaries.grants import (
    CopiesNeighboursGrant,
    GrantsAnotherSecret,
    GrantsForAnotherJob,
    GrantsGarbage,
    GrantsMoreThanItsOwn,
    GrantsNothing,
    GrantsToSomebodyElse,
    RegisteringCheat,
    RewrapsNeighboursGrant,
)
from tests.adversaries.manifests import (
    ClaimsAnotherRuntime,
    ClaimsAnotherSpec,
    MisquotesBoundary,
    MisquotesRoot,
    NamesAnotherAuthor,
    NamesWrongPredecessor,
    NamesWrongPrevious,
    PublishingCheat,
    StartsFromItsOwnWeights,
    SwapsOptimizerState,
)
from tests.adversaries.marks import (
    EditsBiasBehindTheMark,
    EditsWeightsBehindTheMark,
    GrantsAnotherKey,
    MarksFromWrongHead,
    MarksWithUncommittedKey,
    OmitsMark,
)
from tests.adversaries.work import (
    ReusesLastCheckpoint,
    SkipsSteps,
    TrainsOnOtherLabels,
    UsesAnotherLearningRate,
    WorkerCheat,
)

__all__ = [
    "NOWHERE",
    "OTHER_KEY",
    "AltersActivationAtBoundary",
    "AltersGradientAtBoundary",
    "ClaimsAnotherRuntime",
    "ClaimsAnotherSpec",
    "CommitsGarbage",
    "CommitsUnpublished",
    "ComputesOnAnotherBatch",
    "CopiesNeighboursGrant",
    "CopiesPredecessorsManifest",
    "DropsIntervalStates",
    "EditsBiasBehindTheMark",
    "EditsWeightsBehindTheMark",
    "FabricatesTranscript",
    "GrantsAnotherKey",
    "GrantsAnotherSecret",
    "GrantsForAnotherJob",
    "GrantsGarbage",
    "GrantsMoreThanItsOwn",
    "GrantsNothing",
    "GrantsToSomebodyElse",
    "LiesAboutMetrics",
    "MarksFromWrongHead",
    "MarksWithUncommittedKey",
    "MisquotesBoundary",
    "MisquotesRoot",
    "NamesAnotherAuthor",
    "NamesWrongPredecessor",
    "NamesWrongPrevious",
    "OmitsMark",
    "PublishingCheat",
    "RegisteringCheat",
    "RepeatsOneBatch",
    "ReusesLastCheckpoint",
    "RewrapsNeighboursGrant",
    "ScalesItsGradient",
    "ScalesItsOutput",
    "SealsSomethingElse",
    "SealsUnderAnotherSecret",
    "SkipsSteps",
    "StartsFromItsOwnWeights",
    "StopsHalfWay",
    "SwapsOptimizerState",
    "TrainedCheat",
    "TrainsOnOtherLabels",
    "UsesAnotherLearningRate",
    "WorkerCheat",
]
