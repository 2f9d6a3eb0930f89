"""Adapters that come with core."""
