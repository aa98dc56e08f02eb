"""The command line. Light to start: what a command needs is imported when it runs."""
