"""Past: what the log of a run tells the attempt that goes on with it."""

from forebay.core.codec import Entry
from forebay.core.events import CancelRequested, RunStarted, RunSubmitted

from .journal import Journal


class Past:
    """The entries of the attempts before."""

    def __init__(self) -> None:
        self.journal = Journal()
        self.code: str | None = None
        """The code that the attempt before this one ran."""
        self.cancelled: CancelRequested | None = None
        """Who asked for the run to end, when no attempt has heard it."""
        self._submitted: RunSubmitted | None = None
        self._started: RunStarted | None = None

    @property
    def submitted(self) -> RunSubmitted:
        """What was asked for."""
        assert self._submitted is not None, "entry 1 of every log"
        return self._submitted

    def add(self, entry: Entry) -> None:
        """Take the next entry."""
        self.journal.add(entry)
        if entry.type == "run.started":
            if self._started is not None:
                self.code = self._started.code
            event = entry.event
            assert isinstance(event, RunStarted)
            self._started = event
        elif entry.type == "run.cancel_requested":
            event = entry.event
            assert isinstance(event, CancelRequested)
            self.cancelled = event
        elif entry.number == 1:
            event = entry.event
            assert isinstance(event, RunSubmitted)
            self._submitted = event
