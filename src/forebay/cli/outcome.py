"""How a command ends."""

DONE = 0
FAILED = 1
USAGE = 2
UNREACHABLE = 3
DENIED = 4


class Refusal(Exception):
    """The command cannot do what it was asked."""

    def __init__(self, message: str, code: str, exit_code: int) -> None:
        self.message = message
        self.code = code
        self.exit_code = exit_code
        super().__init__(message)
