"""A run that was started, as whoever started it sees it."""

import asyncio

from forebay.core.caller import ANONYMOUS
from forebay.desk.desk import Submission
from tests.support.server import serving


async def test_a_run_that_was_just_queued_is_shown_as_it_was_queued():
    submission = Submission(
        dialect="test",
        operation="runs",
        input="hi",
        durable=True,
        expiry_seconds=600,
        queued=True,
    )
    async with serving() as server, asyncio.timeout(5):
        started = await server.app.desk.start(submission, ANONYMOUS)
        await started.ended(5)
        assert (await started.run()).status == "success"
        run, fold, position = await started.view()
        assert (run.status, run.last) == ("submitted", 1)
        assert position == 1
        assert fold.output is None
