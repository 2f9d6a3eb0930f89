"""Measurements: daystore beside raw drivers and beside peers, in one run on one machine.

``python -m benchmarks`` prints the tables; ``--quick`` takes a few seconds instead of a minute or two. Read
the ratios: the absolute figures are those of the machine and of what else it was doing.
"""
