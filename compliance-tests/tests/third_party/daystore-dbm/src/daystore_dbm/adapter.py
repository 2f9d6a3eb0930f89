"""Records in files of dbm.dumb: one for each namespace, opened once in a process, however many adapters use it."""

import asyncio
import dbm.dumb
import hashlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from daystore.abc import ABSENT, ANY, Capabilities, Delete, Outcome, Page, Put, StorageAdapter
from daystore.abc.evaluate import evaluate_count, evaluate_query
from daystore.errors import BackendUnavailable, ConfigError, StoreClosed, VersionConflict
from daystore_dbm.records import decode, encode, name_of, place_of, written


class File:
    """One file: its database, a mirror of it in memory to read from, and the one thread that uses both."""

    opened: dict = {}

    def __init__(self, path):
        self.path, self.users = path, 0
        self.thread = ThreadPoolExecutor(1, thread_name_prefix="daystore-dbm")
        self.database, self.records = None, {}

    @classmethod
    def use(cls, path):
        file = cls.opened.get(path) or cls.opened.setdefault(path, cls(path))
        file.users += 1
        return file

    def run(self, work, *arguments):
        return asyncio.get_running_loop().run_in_executor(self.thread, work, *arguments)

    def open(self):
        if self.database is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.database = dbm.dumb.open(str(self.path), "c")
            stored = {name: self.database[name] for name in self.database.keys()}
            self.records = {place_of(name): decode(data) for name, data in stored.items() if data}

    def put(self, place, record):
        self.database[name_of(*place)] = encode(record)
        self.records[place] = record

    def delete(self, place):
        self.database[name_of(*place)] = b""  # "del" would write the whole index of dbm.dumb anew
        del self.records[place]

    async def give_back(self):
        self.users -= 1
        if not self.users:
            del self.opened[self.path]
            if self.database is not None:
                await self.run(self.database.close)
            self.thread.shutdown()


class DbmAdapter(StorageAdapter):
    """What it does not declare (atomic batches, transactions, aggregation) the base class refuses."""

    name = "dbm"
    capabilities = Capabilities(conditional=True, ttl=True, query=True)

    def __init__(self, folder, **options):
        super().__init__(**options)
        name = hashlib.sha256(self.namespace.encode()).hexdigest()[:32]
        self._path = Path(folder).absolute() / name
        self._file = None

    @classmethod
    def from_url(cls, url, **options):
        scheme, separator, path = url.partition(":///")
        if (scheme, separator) != ("dbm", ":///") or not path:
            raise ConfigError("write dbm:///relative/folder or dbm:////absolute/folder")
        return cls(path, **options)

    async def _open(self):
        file = File.use(self._path)
        try:
            await file.run(file.open)
        except OSError as error:
            await file.give_back()
            raise BackendUnavailable("the folder cannot be used", backend="dbm", operation="open") from error
        self._file = file

    async def _close(self):
        file, self._file = self._file, None
        await file.give_back()

    async def _run(self, work, *arguments):
        if self._file is None:
            raise StoreClosed("the adapter was closed: open it again", backend="dbm")
        return await self._file.run(work, self._file, *arguments)

    async def _read(self, collection, keys, consistency):
        return await self._run(self._find_all, collection, keys)

    async def _write(self, batch):
        return await self._run(self._apply_all, batch.operations)

    async def _query(self, query, consistency):
        page = evaluate_query(await self._run(self._live, query.collection), query)
        return Page([record.copy() for record in page.records], page.cursor)

    async def _count(self, query, consistency):
        return evaluate_count(await self._run(self._live, query.collection), query)

    # --- In the thread ---------------------------------------------------------------------------------------

    def _find_all(self, file, collection, keys):
        found = [self._find(file, (collection, key)) for key in keys]
        return [record and record.copy() for record in found]

    def _find(self, file, place):
        record = file.records.get(place)
        return record if record is not None and record.is_alive(self.clock()) else None

    def _live(self, file, collection):
        found = [self._find(file, place) for place in file.records if place[0] == collection]
        return [record for record in found if record is not None]

    def _apply_all(self, file, operations):
        return [self._apply(file, operation, index) for index, operation in enumerate(operations)]

    def _apply(self, file, operation, index):
        place = (operation.collection, operation.key)
        old = self._find(file, place)
        current = old.version if old else None
        if operation.expect is not ANY and operation.expect != (current or ABSENT):
            where = {"collection": operation.collection, "key": operation.key, "index": index}
            conflict = VersionConflict(**where, current=current, backend=self.name, operation="write")
            return Outcome(None, False, conflict)
        if isinstance(operation, Put):
            file.put(place, written(operation, old, self.clock()))
            return Outcome(operation.version, old is not None)
        if isinstance(operation, Delete) and place in file.records:
            file.delete(place)
        return Outcome(None, old is not None)
