"""The artifact plane: put by content, get by name, believe nothing that does not hash to its name.

``cid`` is the pure core: names, and files cut into blocks exactly as IPFS does it. ``base`` is the interface that
every store implements; ``local`` keeps blocks in a folder, ``ipfs`` on a node, ``layered`` in one in front of the
other. ``seal`` encrypts what not everyone may read. What an artifact *means* is the business of
``clicooper.commitments``.
"""
