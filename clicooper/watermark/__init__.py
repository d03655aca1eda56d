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
