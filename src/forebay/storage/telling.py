"""What a process is told of its own writes, and what it tells others.

Whoever writes for an attempt hands its entries to the followers here himself. Nobody does that for
what others (CONTROL) have to say, and nobody else says that there are queued runs.
"""

from collections.abc import Sequence

from forebay.core.ids import RunNumber
from forebay.ports.log import Listener
from forebay.ports.store import CONTROL, Admit, Admitted, Append, Appended, Outcome, Write


def tell(listener: Listener, batch: Sequence[Write], outcomes: Sequence[Outcome]) -> None:
    """Tell the listener of this process what it has just written."""
    if listener.interested:
        moved = appended(batch, outcomes, control_only=True)
        if moved:
            listener.moved(moved)
    if listener.takes_runs and queues(batch, outcomes):
        listener.queued()


def appended(
    batch: Sequence[Write], outcomes: Sequence[Outcome], *, control_only: bool = False
) -> dict[RunNumber, int]:
    """The runs that got entries, each with the number of its last."""
    return {
        write.run: outcome.first + len(write.entries) - 1
        for write, outcome in zip(batch, outcomes, strict=True)
        if isinstance(write, Append)
        and isinstance(outcome, Appended)
        and (write.attempt == CONTROL or not control_only)
    }


def queues(batch: Sequence[Write], outcomes: Sequence[Outcome]) -> bool:
    """Whether there may be queued runs now that could not begin before."""
    return any(
        _queues(write) and isinstance(outcome, Admitted | Appended)
        for write, outcome in zip(batch, outcomes, strict=True)
    )


def _queues(write: Write) -> bool:
    if isinstance(write, Append):
        return write.frees or write.move.wakes or write.move.leads_to == "submitted"
    return isinstance(write, Admit) and write.run.status == "submitted"
