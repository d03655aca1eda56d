"""Structured fuzzing: everything that another party may send, changed in ways that its schema allows.

A case is a kind of input, a seed and the parties who may have made it. It must end in rows or in an error of this
package, within its limits of time and memory, and name nobody but a party that may have made it. ``make fuzz`` runs
20,000 cases and writes docs/figures/fuzz.md; the tests run a few of every kind.
"""
