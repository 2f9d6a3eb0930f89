"""The sub-commands of ``daystore`` that the suite brings."""
