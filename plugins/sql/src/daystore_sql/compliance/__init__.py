"""The targets of the compliance suite, by the make of their server."""
