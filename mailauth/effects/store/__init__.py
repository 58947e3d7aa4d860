"""The database: tables, connections, transactions, statements. Synchronous SQLAlchemy Core throughout."""
