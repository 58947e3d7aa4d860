"""SQLite, the embedded database: one file, one writer at a time. `dialect.py` is what the rest of the store sees."""
