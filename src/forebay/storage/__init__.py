"""The databases that runs are kept in: SQLite, PostgreSQL, and memory for tests and demos."""
