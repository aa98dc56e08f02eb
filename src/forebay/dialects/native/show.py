"""How runs and entries look on the native wire."""

from forebay.core.clock import Millis, rfc3339
from forebay.core.events import QuestionAsked
from forebay.core.ids import as_uuid
from forebay.core.json import Json
from forebay.core.run import Fold, Run
from forebay.desk.desk import Page


def run_summary(run: Run) -> dict[str, Json]:
    """A run without what its log adds up to."""
    return {
        "id": as_uuid(run.id),
        "agent": run.agent,
        "status": run.status,
        "reason": run.reason,
        "durable": run.durable,
        "events": run.last,
        "attempt": run.attempt,
        "session": run.session,
        "metadata": run.metadata,
        "created_at": rfc3339(run.created),
        "started_at": _time(run.started),
        "finished_at": _time(run.finished),
        "expires_at": _time(run.expires),
    }


def run_model(run: Run, fold: Fold, position: int | None = None) -> dict[str, Json]:
    """A run with what its log adds up to, and its position in the queue if it is there."""
    shown = run_summary(run)
    shown["position"] = position
    failure, usage = fold.failure, fold.usage
    shown["output"] = fold.output
    shown["error"] = failure and {
        "reason": failure.reason,
        "message": failure.message,
        "error": failure.error,
        "traceback": failure.traceback,
    }
    shown["usage"] = usage and {
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "estimated": usage.estimated,
    }
    shown["cost_usd"] = fold.cost_usd
    asked = () if run.is_finished else fold.questions.values()
    shown["questions"] = [_question(each) for each in asked]
    return shown


def _question(asked: QuestionAsked) -> dict[str, Json]:
    prompt = asked.prompt
    return {
        "id": asked.question,
        "text": prompt.text,
        "kind": prompt.kind,
        "options": [
            {
                "id": option.id,
                "label": option.label,
                "value": option.value,
                "description": option.description,
            }
            for option in prompt.options
        ],
        "placeholder": prompt.placeholder,
        "required": prompt.required,
        "timeout_seconds": prompt.timeout_seconds,
        "default": prompt.default,
        "due": None if asked.due is None else rfc3339(Millis(asked.due)),
    }


def frames(page: Page) -> bytes:
    """A page of entries as server-sent events. Only a committed entry has an id to resume from."""
    if page.committed:
        return b"".join(
            [
                b"id: %d\nevent: %b\ndata: %b\n\n"
                % (entry.number, entry.type.encode(), entry.line())
                for entry in page.entries
            ]
        )
    return b"".join(
        [b"event: %b\ndata: %b\n\n" % (entry.type.encode(), entry.line()) for entry in page.entries]
    )


def _time(at: Millis | None) -> str | None:
    return None if at is None else rfc3339(at)
