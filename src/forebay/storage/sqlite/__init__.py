"""SQLite, through apsw: one file, any number of processes of one host."""
