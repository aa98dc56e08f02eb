"""PostgreSQL, through psycopg: any number of processes on any number of hosts."""
