"""The figures of one process and its database, for `/metrics`."""

from forebay.core.clock import Clock
from forebay.dialects.native.server import Metric
from forebay.http.edge import Edge
from forebay.http.sse import Streams
from forebay.ports.storage import Storage
from forebay.runs.service import Runs


async def metrics(
    storage: Storage, runs: Runs, edge: Edge, streams: Streams, clock: Clock
) -> list[Metric]:
    """Every figure, as it is now."""
    stats = await storage.stats()
    committer = runs.committer
    queued = sum((await storage.crowd()).queued.values())
    age = 0.0 if stats.oldest_run is None else (clock.now() - stats.oldest_run) / 1000
    return [
        *(
            Metric("forebay_answers_total", "counter", "HTTP answers", count, f'status="{code}"')
            for code, count in sorted(edge.answers.items())
        ),
        *(
            Metric("forebay_runs_ended_total", "counter", "Ended runs", count, f'status="{name}"')
            for name, count in sorted(runs.ended.items())
        ),
        Metric("forebay_runs_under_way", "gauge", "Runs executed here", runs.under_way),
        Metric("forebay_runs_queued", "gauge", "Runs that wait for room or their turn", queued),
        Metric("forebay_streams_open", "gauge", "Open event streams", len(streams)),
        Metric("forebay_commits_total", "counter", "Batches committed", committer.commits),
        Metric("forebay_page_reads_total", "counter", "Reads of the log for followers",
               runs.follower.page_reads),
        Metric("forebay_log_backlog", "gauge", "Light runs not written yet", committer.backlog),
        Metric("forebay_log_dropped_total", "counter", "Light runs never written",
               committer.keeps_dropped),
        Metric("forebay_database_bytes", "gauge", "Size of the database", stats.size_bytes),
        Metric("forebay_oldest_run_seconds", "gauge", "Age of the oldest run", age),
    ]  # fmt: skip
