"""Judges of histories: what concurrent clients saw, and whether any correct backend could have shown it.

They know nothing of daystore but the conditions of a write: a history is plain data, and can be judged anywhere.
"""
