"""The simulator of the coordinated commit: its real code, over stores whose every request meets an unkind fate.

A seed makes a world: a few processes with a few transactions each, over stores they share, in virtual time. Each
request is delayed; some are lost, some are applied though their answer is lost, some are applied after their
sender has given up; processes die. Afterwards a process without faults recovers what was left, and the whole
history has to be strictly serializable: there is an order of everything that was acknowledged, and of some of what
was not, that fits the real times and explains every value read.
"""
