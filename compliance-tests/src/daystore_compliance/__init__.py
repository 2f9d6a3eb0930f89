"""The certification suite of daystore: every backend is held to the same contract."""

from daystore_compliance.clock import ManualClock
from daystore_compliance.plan import Plan
from daystore_compliance.target import Target

__all__ = ["ManualClock", "Plan", "Target"]
