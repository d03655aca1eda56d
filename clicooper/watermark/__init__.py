"""Chained watermarks: who trained a segment, readable from its weights alone.

Four nouns in the order of the data flow. ``keys``: two fresh secrets per attempt, and seeds that bind them to
the head, the seat, the trainer and the round's own training. ``carriers``: a seed expands to bits and to disjoint
signed blocks of weights. ``embed``: the least-norm correction that writes the bits. ``detect``: how improbable the
bits found in a suspect are. ``informed`` reads beside the committed raw weights, and many marks as one claim.
``suspect`` first brings a model of unknown origin into the form of the committed one, with ``match`` (which tensor is
which) and ``align`` (orders and scales of hidden units); ``similarity`` asks without any mark whether it descends from
that one. ``bound`` lets an auditor who holds the progress key alone confirm that nothing but marks separates the
trained weights from the released ones.

A round trains, embeds from the raw weights, then commits. Pure: files, chain and clock belong to higher floors.
"""

from clicooper.watermark.bound import EmbeddingCheck, check_embedding, check_opened_embedding
from clicooper.watermark.carriers import (
    Carrier,
    Layout,
    MarkParams,
    State,
    carrier_of,
    check_capacity,
    fitting_params,
    layout_of,
    required_weights,
    weights_of,
    with_weights,
)
from clicooper.watermark.detect import ACCEPT_LOG2_P, MarkReading, read_mark
from clicooper.watermark.embed import embed, embed_both
from clicooper.watermark.informed import PooledReading, pool_readings, read_informed
from clicooper.watermark.keys import MarkKeys, MarkPurpose, keys_from_secret, mark_seed, new_keys
from clicooper.watermark.suspect import ClaimedMark, SuspectMark, SuspectReport, find_marks

__all__ = [
    "ACCEPT_LOG2_P",
    "Carrier",
    "ClaimedMark",
    "EmbeddingCheck",
    "Layout",
    "MarkKeys",
    "MarkParams",
    "MarkPurpose",
    "MarkReading",
    "PooledReading",
    "State",
    "SuspectMark",
    "SuspectReport",
    "carrier_of",
    "check_capacity",
    "check_embedding",
    "check_opened_embedding",
    "embed",
    "embed_both",
    "find_marks",
    "fitting_params",
    "keys_from_secret",
    "layout_of",
    "mark_seed",
    "new_keys",
    "pool_readings",
    "read_informed",
    "read_mark",
    "required_weights",
    "weights_of",
    "with_weights",
]
