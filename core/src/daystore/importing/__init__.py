"""Existing histories of agents: reading them from files and writing them into a storage."""

from daystore.errors import TranscriptError
from daystore.importing.runs import Message, Run, read_runs
from daystore.importing.write import BATCH, EVENT, IfExists, Progress, Survey, import_file, survey

__all__ = [
    "BATCH",
    "EVENT",
    "IfExists",
    "Message",
    "Progress",
    "Run",
    "Survey",
    "TranscriptError",
    "import_file",
    "read_runs",
    "survey",
]
