"""A daystore backend over dbm.dumb."""
