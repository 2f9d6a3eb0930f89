"""SQL backend of daystore: SQLite, written so that other dialects can follow."""
