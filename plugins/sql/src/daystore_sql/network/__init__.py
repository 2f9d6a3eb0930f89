"""Databases that are reached by a network: connections, engine, and writes whose replies may be lost."""
