"""Settings: one frozen object, read once. The only reader of the environment."""

from .databases import Database, database, database_name, without_password
from .environment import provider_environment
from .loading import DEFAULT_SERVER, Remote, Sourced, load, remote
from .meaning import is_loopback, log_form
from .values import Settings, Value, variable
from .workflow import workflow_file

__all__ = [
    "DEFAULT_SERVER",
    "Database",
    "Remote",
    "Settings",
    "Sourced",
    "Value",
    "database",
    "database_name",
    "is_loopback",
    "load",
    "log_form",
    "provider_environment",
    "remote",
    "variable",
    "without_password",
    "workflow_file",
]
