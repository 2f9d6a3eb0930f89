"""How the suite opens this backend."""

import tempfile

from daystore_compliance import Target
from daystore_dbm.adapter import DbmAdapter


class DbmTarget(Target):
    name = "dbm"
    hooks = frozenset({"fresh", "reopen", "second"})
    disposable = True

    def start(self):
        self._folder = tempfile.TemporaryDirectory()

    def stop(self):
        self._folder.cleanup()

    def fresh(self):
        return DbmTarget()

    async def open(self, namespace, clock):
        adapter = DbmAdapter(self._folder.name, namespace=namespace, clock=clock)
        await adapter.open()
        return adapter
