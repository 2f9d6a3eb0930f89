"""Where things are: the names of the objects of one namespace."""

from __future__ import annotations

from daystore_s3.naming import divided, escape, joined, shortened, unescape

__all__ = ["CREATED", "SHARED", "Places", "index_of"]

NAMESPACE, FIELD, VALUE, KEY = 56, 48, 148, 400
"""Characters after which each part of a name is cut, where it need not be read back."""
CREATED = "@created_at"
"""The index of instants of creation."""
SHARED = "+"
"""Begins the name of a note of several keys; no key begins with it."""


def index_of(field: str) -> str:
    """Return what the index of a field is called; no field can be called like that of creations."""
    return CREATED if field == "created_at" else "=" + shortened(escape(field.encode()), FIELD)


class Places:
    """The names of one namespace.

    Args:
        root: What all names begin with.
        namespace: The namespace.

    Attributes:
        root: What all names of the namespace begin with.
        layout: The object with the number of the layout.
        probe: What the names of objects begin with by which a server is tried.
        intents: What the names of the markers of all intents begin with.
    """

    def __init__(self, root: str, namespace: str) -> None:
        self.root: str = f"{root}{shortened(escape(namespace.encode()), NAMESPACE)}/"
        self.layout: str = f"{self.root}m/layout"
        self.probe: str = f"{self.root}m/probe-"
        self.intents: str = f"{self.root}i/"

    def records(self, collection: str) -> str:
        """Return what the names of all records of a collection begin with."""
        return f"{self.root}r/{collection}/"

    def record(self, collection: str, key: str) -> str:
        """Return the name of a record."""
        return self.records(collection) + divided(escape(key.encode()))

    def key_of(self, prefix: str, name: str) -> str:
        """Return the key whose record has a name.

        Raises:
            ValueError: If there is none.
        """
        return unescape(joined(name[len(prefix) :])).decode()

    def index(self, collection: str, index: str) -> str:
        """Return what the names of all markers of an index begin with."""
        return f"{self.root}f/{collection}/{index}/"

    def marker(self, collection: str, index: str, sort_key: bytes, key: str, epoch: str) -> str:
        """Return the name of a marker: a record of this key has this value."""
        value = shortened(escape(sort_key), VALUE)
        return f"{self.index(collection, index)}{value}/{self.owner(key)}/{epoch}"

    def parts(self, collection: str) -> str:
        """Return what the names of all parts of a collection begin with."""
        return f"{self.root}p/{collection}/"

    def part(self, collection: str, key: str, epoch: str, number: int) -> str:
        """Return the name of a part of a value or of an intent."""
        return f"{self.parts(collection)}{self.owner(key)}/{epoch}-{number}"

    def notes(self, collection: str) -> str:
        """Return what the names of the notes of a collection begin with."""
        return f"{self.root}s/{collection}/d/"

    def note(self, collection: str, key: str, epoch: str) -> str:
        """Return the name of a note: the markers of this key are being changed."""
        return f"{self.notes(collection)}{self.owner(key)}/{epoch}"

    def shared_note(self, collection: str, name: str) -> str:
        """Return the name of a note of several keys, which are in it."""
        return f"{self.notes(collection)}{SHARED}{name}"

    def deadlines(self, collection: str) -> str:
        """Return what the names of the deadlines of a collection begin with."""
        return f"{self.root}s/{collection}/e/"

    def deadline(self, collection: str, sort_key: bytes, key: str, alarm: str) -> str:
        """Return the name of a deadline."""
        return f"{self.deadlines(collection)}{sort_key.hex()}/{self.owner(key)}/{alarm}"

    def intents_of(self, collection: str) -> str:
        """Return what the names of the markers of the intents of a collection begin with."""
        return f"{self.intents}{collection}/"

    def intent(self, collection: str, key: str, mark: str) -> str:
        """Return the name of the marker of an intent."""
        return f"{self.intents_of(collection)}{self.owner(key)}/{mark}"

    @staticmethod
    def owner(key: str) -> str:
        """Return the part of a name that tells whose it is."""
        return divided(shortened(escape(key.encode()), KEY))
