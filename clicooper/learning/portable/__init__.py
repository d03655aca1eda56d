"""The arithmetic ``portable/1``: the same bits on every IEEE-754 machine, thread count and device.

docs/arithmetic.md defines it as mathematics; this room is one way to get its numbers with torch.

* ``grid`` rounds numbers to grids so coarse that sums of them are exact in float64 in any order.
* ``watch`` remembers whether a reduction met a number that is not finite.
* ``free`` has the free operations and those that move entries; ``products``, ``sums`` and ``scatter``
  have the exact reductions; ``roots`` has square roots.
* ``elementary`` has functions of float64 numbers from free operations; ``functions`` and ``softmax`` are kernels
  of them; ``draws`` makes random numbers from words.
* ``convolution`` and ``pooling`` have what slides over pictures; ``windows`` says where it lies.
* ``recheck`` computes single entries of a result again, in integers.
* ``kernels`` lists every operation by name. A kernel is called as ``kernel(watch, *tensors, **attributes)``;
  it never changes its inputs.

Not its job: to decide which operations a step consists of, and to check their shapes.
"""

__all__: list[str] = []
