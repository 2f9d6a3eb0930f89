"""Measurements: daystore beside raw drivers and beside peers, in one run on one machine.

``python -m benchmarks`` prints the tables, and writes them with plots to ``results``; ``--quick`` takes less time
and writes nothing. Read the ratios: the absolute figures are those of the machine and of what else it was doing.
"""
