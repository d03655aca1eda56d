"""A seat's training step as a list of operations: made once by the maker of a job, run by everybody else.

``operations`` says which operations there are and what shape their results have. ``builder`` writes lists,
``gradients`` their backward part, ``optimizers`` and ``step`` the rest. ``trace`` reads a torch module, by ``watcher``
and the tables of ``torch_operations``, and ``making`` puts a job's programmes together: all these are the maker's.
``check`` refuses a list that is not fit to be run, before anything runs. ``execution`` runs one, by the kernels of
``learning.portable`` or by the ``native`` ones; ``segment`` is a seat that trains by it.
"""
