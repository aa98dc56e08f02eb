"""The composition root: settings in, application out. Only here are concrete classes named."""

from .application import Application, is_loopback, load_agents, log_form
from .database import back_up, look_at_database, migrate, open_storage, restore, sqlite_version

__all__ = [
    "Application",
    "back_up",
    "is_loopback",
    "load_agents",
    "log_form",
    "look_at_database",
    "migrate",
    "open_storage",
    "restore",
    "sqlite_version",
]
