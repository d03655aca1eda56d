"""What leaves the owner's machine, and the one statement that may be made about it.

``randomness`` derives every secret draw from one master secret. ``labels`` expands classes into
secret pseudo-labels and deals the release into shards. ``release`` clips, averages and adds noise,
once per data set, and prints the statement. ``accounting`` is the mathematics of that statement, and
refuses claims that have no proof. ``dpsgd`` trains a module privately on the records themselves, and
``composition`` adds that to the release. ``ledger`` remembers what a data set has already spent.

Nothing here knows about chains, stores, or what a head looks like. A release is made once, before round 0::

    entry = ledger.reserve(request)                        # the budget is spent before noise exists
    release = make_release(features, label_map, params, secret, release_context(entry.content, entry.number))
    ...publish...
    ledger.publish(entry.number, digest)
"""
