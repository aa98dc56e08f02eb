"""The routes of runs: start, list, show, follow, answer, cancel, delete."""

from collections.abc import Sequence

from forebay.core.caller import Caller
from forebay.core.codec import encode_json
from forebay.core.errors import (
    AgentNotFound,
    BadCursor,
    BadJson,
    BodyTooLarge,
    DiskFull,
    EventTooLarge,
    InvalidAnswer,
    InvalidBody,
    InvalidInput,
    InvalidQuery,
    KeyReused,
    NoDefaultAgent,
    ObjectNotFound,
    QuestionClosed,
    QuestionNotFound,
    QueueFull,
    RunFinished,
    RunNotFound,
    RunUnfinished,
    SessionBusy,
    Stopping,
    TooManyQueued,
    TooManyRuns,
)
from forebay.core.events import FINAL_TYPES
from forebay.core.ids import RunId, as_uuid, parse_run_id
from forebay.core.run import Run
from forebay.desk.desk import Desk, RunQuery, Submission
from forebay.desk.started import Started
from forebay.http.asgi import Headers
from forebay.http.errors import UnsupportedMediaType
from forebay.http.request import Request
from forebay.http.response import Answer, Response, empty
from forebay.http.routing import Body, Route
from forebay.http.sse import EventStream, Streams

from .cursors import event_cursor, event_types, page_cursor
from .errors import problem, problem_response
from .models import (
    AnswerBody,
    EventPage,
    EventsQuery,
    RunBody,
    RunList,
    RunListQuery,
    RunModel,
)
from .show import frames, run_model, run_summary

_TAG = "runs"
_CANCEL_WAIT_SECONDS = 1.0
_FAREWELL = b"event: server.stopping\ndata: " + encode_json(problem(Stopping())) + b"\n\n"
_EVENTS = "text/event-stream"


class RunRoutes:
    """The handlers of `/api/runs`."""

    def __init__(self, desk: Desk, streams: Streams, expiry_seconds: int) -> None:
        self._desk = desk
        self._streams = streams
        self._expiry_seconds = expiry_seconds

    async def create(self, request: Request) -> Answer:
        body = await request.read(RunBody)
        key = request.header(b"idempotency-key")
        durable = body.durable if body.durable is not None else body.mode != "wait"
        submission = Submission(
            dialect="native",
            operation="runs",
            input=body.input,
            durable=durable or key is not None or body.session is not None,
            expiry_seconds=body.expiry_seconds or self._expiry_seconds,
            agent=body.agent,
            session=body.session,
            session_policy=body.session_policy,
            priority=body.priority,
            metadata=body.metadata,
            deadline_seconds=body.deadline_seconds,
            max_steps=body.max_steps,
            max_tokens=body.max_tokens,
            max_cost_usd=body.max_cost_usd,
            trace=request.trace.decode(),
            idempotency_key=key,
            request=body.model_dump(mode="json") if key is not None else None,
            waits=body.mode == "wait",
            queued=body.mode == "background",
        )
        started = await self._desk.start(submission, self._caller(request))
        match body.mode:
            case "wait":
                return await self._wait(request, started, body.wait_seconds)
            case "stream":
                return await self._stream(request, started)
            case "background":
                return await _shown(started)

    async def list(self, request: Request) -> Answer:
        asked = request.query_as(RunListQuery)
        caller = self._caller(request)
        query = RunQuery(
            tenant=caller.tenant,
            caller=caller.name,
            status=asked.status,
            agent=asked.agent,
            session=asked.session,
            before=page_cursor(asked.cursor) if asked.cursor else None,
            limit=asked.limit,
        )
        runs = await self._desk.list(query)
        more = as_uuid(runs[-1].id) if len(runs) == asked.limit else None
        return Response(
            encode_json({"runs": [run_summary(run) for run in runs], "next_cursor": more})
        )

    async def show(self, request: Request) -> Answer:
        view = await self._desk.view(_run_id(request), self._caller(request))
        return Response(encode_json(run_model(*view)))

    async def events(self, request: Request) -> Answer:
        asked = request.query_as(EventsQuery)
        run = await self._desk.open(_run_id(request), self._caller(request))
        after, types = event_cursor(request, asked), event_types(asked)
        accepted = request.headers.get(b"accept", b"")
        if b"application/json" in accepted and b"text/event-stream" not in accepted:
            return await self._page(run, after, types, asked.limit)
        if run.is_finished and after == run.last:
            return empty(204)  # an EventSource stops reconnecting
        pages = await self._desk.follow(run, after=after, types=types)
        return EventStream(request, self._streams, pages, frames, farewell=_FAREWELL)

    async def object(self, request: Request) -> Answer:
        run = await self._desk.open(_run_id(request), self._caller(request))
        return Response(await self._desk.read_object(run, request.path["object"]))

    async def answer(self, request: Request) -> Answer:
        body = await request.read(AnswerBody)
        view = await self._desk.answer(
            _run_id(request), request.path["question"], body.answer, self._caller(request)
        )
        return Response(encode_json(run_model(*view)))

    async def cancel(self, request: Request) -> Answer:
        started = await self._desk.cancel(_run_id(request), self._caller(request))
        await started.ended(_CANCEL_WAIT_SECONDS)
        view = await started.view()
        return Response(encode_json(run_model(*view)), 200 if view.run.is_finished else 202)

    async def delete(self, request: Request) -> Answer:
        await self._desk.delete(_run_id(request), self._caller(request))
        return empty(204)

    # --- answers --------------------------------------------------------------------------------

    async def _wait(self, request: Request, started: Started, seconds: float) -> Answer:
        async def late() -> None:
            await request.answer_now(_shown(started))

        if await started.wait(seconds, late, request.disconnected):
            return await _shown(started)
        return empty(204)  # he was answered meanwhile, or has left

    async def _stream(self, request: Request, started: Started) -> Answer:
        return EventStream(
            request,
            self._streams,
            await started.follow(),
            frames,
            farewell=_FAREWELL,
            headers=_place(started.run_id),
            left=started.abandon,
        )

    async def _page(
        self, run: Run, after: int, types: Sequence[str] | None, limit: int
    ) -> Response:
        entries = await self._desk.read(run, after=after, limit=limit, types=types)
        finished = bool(entries) and entries[-1].type in FINAL_TYPES
        done = finished or (run.is_finished and after >= run.last)
        following = entries[-1].number if entries else after
        return Response(
            b'{"events":[%b],"next":%b,"finished":%b}'
            % (
                b",".join([entry.line() for entry in entries]),
                b"null" if done else b"%d" % following,
                b"true" if done else b"false",
            )
        )

    def _caller(self, request: Request) -> Caller:
        return self._desk.identify(request.header(b"authorization"))


async def _shown(started: Started) -> Response:
    view = await started.view()
    run, shown = view.run, run_model(*view)
    status = 200 if run.is_finished else 202
    return Response(encode_json(shown), status, headers=_place(run.id) if status == 202 else None)


def _place(run: RunId) -> Headers:
    text = as_uuid(run).encode()
    return [(b"location", b"/api/runs/" + text), (b"x-run-id", text)]


def _run_id(request: Request) -> RunId:
    return parse_run_id(request.path["run"])


# --- the table ----------------------------------------------------------------------------------

_KEY_HEADER = {
    "Idempotency-Key": "Sending the same request again under the same key joins the run it "
    "started. Such a run is durable."
}
_CURSOR_HEADER = {"Last-Event-ID": "Only events after this number; wins over `after`."}
_ONE_RUN = "The run"
_WHICH = {"run": "The run's id: a UUID, also without hyphens or as a ULID."}
_PLACE = {
    "Location": "Where the run is; in a 202, and before a stream.",
    "X-Run-Id": "The run's id; in a 202, and before a stream.",
}


def run_routes(routes: RunRoutes) -> list[Route]:
    """The rows of `/api/runs`."""
    return [
        Route(
            method="POST",
            path="/api/runs",
            handler=routes.create,
            access="anonymous unless auth is required",
            errors=problem_response,
            tag=_TAG,
            summary="Start a run",
            description="Waits for the answer, streams the run's events, or returns at once.",
            body=RunBody,
            headers=_KEY_HEADER,
            answers={
                200: Body(
                    "The finished run, or its events", RunModel, also=(_EVENTS,), headers=_PLACE
                ),
                202: Body("The run goes on in the background", RunModel, headers=_PLACE),
            },
            raises=(
                BadJson,
                InvalidBody,
                AgentNotFound,
                NoDefaultAgent,
                InvalidInput,
                KeyReused,
                SessionBusy,
                QueueFull,
                TooManyQueued,
                TooManyRuns,
                BodyTooLarge,
                EventTooLarge,
                UnsupportedMediaType,
                Stopping,
                DiskFull,
            ),
        ),
        Route(
            method="GET",
            path="/api/runs",
            handler=routes.list,
            access="anonymous unless auth is required",
            errors=problem_response,
            tag=_TAG,
            summary="List runs, newest first",
            query=RunListQuery,
            answers={200: Body("A page of runs", RunList)},
            raises=(BadCursor, InvalidQuery),
        ),
        Route(
            method="GET",
            path="/api/runs/{run}",
            path_values=_WHICH,
            handler=routes.show,
            access="anonymous unless auth is required",
            errors=problem_response,
            tag=_TAG,
            summary="Show a run with its answer",
            answers={200: Body(_ONE_RUN, RunModel)},
            raises=(RunNotFound,),
        ),
        Route(
            method="GET",
            path="/api/runs/{run}/events",
            path_values=_WHICH,
            handler=routes.events,
            access="anonymous unless auth is required",
            errors=problem_response,
            tag=_TAG,
            summary="Follow a run's events, from any cursor",
            description="Server-sent events whose `id` is the event's number, or pages of JSON "
            "with `Accept: application/json`. A run's last event is always sent.",
            query=EventsQuery,
            headers=_CURSOR_HEADER,
            answers={
                200: Body("Events", EventPage, also=(_EVENTS,)),
                204: Body("The run is finished and the cursor is at its end"),
            },
            raises=(RunNotFound, BadCursor, InvalidQuery),
        ),
        Route(
            method="GET",
            path="/api/runs/{run}/objects/{object}",
            path_values=_WHICH | {"object": "The id in an event's `stored`."},
            handler=routes.object,
            access="anonymous unless auth is required",
            errors=problem_response,
            tag=_TAG,
            summary="Read a value that was too large for the log",
            answers={200: Body("The value, as JSON")},
            raises=(RunNotFound, ObjectNotFound),
        ),
        Route(
            method="POST",
            path="/api/runs/{run}/answers/{question}",
            path_values=_WHICH | {"question": "The id of one of the run's `questions`."},
            handler=routes.answer,
            access="anonymous unless auth is required",
            errors=problem_response,
            tag=_TAG,
            summary="Answer a question of a run",
            description="The run goes on with it. Sending the same answer again changes nothing.",
            body=AnswerBody,
            answers={200: Body("The run, which goes on", RunModel)},
            raises=(
                BadJson,
                InvalidBody,
                InvalidAnswer,
                RunNotFound,
                QuestionNotFound,
                QuestionClosed,
                RunFinished,
                BodyTooLarge,
                UnsupportedMediaType,
                DiskFull,
            ),
        ),
        Route(
            method="POST",
            path="/api/runs/{run}/cancel",
            path_values=_WHICH,
            handler=routes.cancel,
            access="anonymous unless auth is required",
            errors=problem_response,
            tag=_TAG,
            summary="Ask a run to end",
            answers={
                200: Body("The run has ended", RunModel),
                202: Body("The run was asked to end", RunModel),
            },
            raises=(RunNotFound, RunFinished),
        ),
        Route(
            method="DELETE",
            path="/api/runs/{run}",
            path_values=_WHICH,
            handler=routes.delete,
            access="anonymous unless auth is required",
            errors=problem_response,
            tag=_TAG,
            summary="Forget a finished run",
            answers={204: Body("It is forgotten")},
            raises=(RunNotFound, RunUnfinished),
        ),
    ]
