"""Learning: what a seat computes, what it records of it, and how anyone repeats it.

The data flow, file by file: ``models`` (a specification's blocks, cut into segments), ``segments`` (one seat's
working segment), ``schedule`` (which record enters which step), ``training`` (the loop of a round), ``transcript``
(the digests it leaves behind), ``checkpoint`` (states as bytes and digests), ``replay`` (an interval again, and the
first difference). For the owner: ``head`` (the bottom segment), ``readout`` (predictions from smoothed networks)
and ``controls`` (the accuracies that training has to beat). ``runtime`` pins what makes numbers repeat.

Other floors exchange NumPy arrays and ``checkpoint.State`` with this one, never tensors. Importing the package
loads none of its modules.
"""
