"""What becomes of a connection, and so of what was asked over it."""


class NotConnected(Exception):
    """Nobody could be connected to."""

    def __init__(self, message: str, *, may_pass: bool = True) -> None:
        super().__init__(message)
        self.message = message
        self.may_pass = may_pass
        """Whether another try may succeed."""


class NotSent(Exception):
    """The server has not heard of this: it may be sent again."""
