"""CliCooper: verifiable client-cooperative split learning, anchored on a chain.

Read top to bottom: ``types`` and ``errors`` (floor 0), the pure floors ``commitments``, ``privacy``
and ``watermark``, the two planes ``storage`` and ``chain``, ``learning``, then ``protocol`` (what each
role does) beside ``audit`` (what anyone can check), and ``cli`` on top. Imports only run downward.
"""

__version__ = "0.1.0"
