"""The control plane: one contract on any EVM chain, and what its events say.

``rpc.Node`` is a chain, in this process or behind HTTP. ``deploy`` puts the committed artifact (``compile``) there,
``client.Contract`` calls it from an account (``keys``) and reads its events (``events``); ``record`` keeps a job's
events in a file. ``events`` and ``record`` need no node and import no chain library.
"""
