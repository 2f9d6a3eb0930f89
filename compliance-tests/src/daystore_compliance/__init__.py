"""The certification suite of daystore: every backend is held to the same contract."""
