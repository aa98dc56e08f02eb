"""The native dialect: `/api`, the log as it is."""
