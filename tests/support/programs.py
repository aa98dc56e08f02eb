"""Small random agents: trees of what an agent can do, which do the same in every attempt."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeAlias

from hypothesis import strategies as st

from forebay import Context, Prompt, StepFailed, agent, events
from forebay.core.json import Json


@dataclass(frozen=True, slots=True)
class Say:
    text: str


@dataclass(frozen=True, slots=True)
class Give:
    value: Json


@dataclass(frozen=True, slots=True)
class Draw:
    kind: str


@dataclass(frozen=True, slots=True)
class Ask:
    text: str


@dataclass(frozen=True, slots=True)
class Step:
    """`fails`: how often it fails in each attempt, of the two tries it has."""

    name: str
    body: "Program"
    fails: int = 0
    key: str | None = None
    kind: str = "step"


@dataclass(frozen=True, slots=True)
class Scoped:
    name: str
    body: "Program"


@dataclass(frozen=True, slots=True)
class Together:
    """Several branches at once, each in a scope of its own."""

    branches: tuple["Program", ...]


Do: TypeAlias = Say | Give | Draw | Ask | Step | Scoped | Together
Program: TypeAlias = tuple[Do, ...]

_names = st.sampled_from("ab")
_quiet: st.SearchStrategy[Do] = st.one_of(
    st.builds(Say, st.sampled_from("xyz")),
    st.builds(Give, st.sampled_from([1, {"k": "v"}, [None]])),
    st.builds(Draw, st.sampled_from(["uuid", "random", "now"])),
    st.builds(Ask, _names),
)


def _around(inner: st.SearchStrategy[Do]) -> st.SearchStrategy[Do]:
    body = st.lists(inner, max_size=3).map(tuple)
    kinds = st.sampled_from(["step", "tool", "model"])
    keys = st.sampled_from([None, None, "k"])
    return st.one_of(
        st.builds(Step, _names, body, st.sampled_from([0, 0, 1, 2]), keys, kinds),
        st.builds(Scoped, _names, body),
    )


def _around_or_beside(inner: st.SearchStrategy[Do]) -> st.SearchStrategy[Do]:
    body = st.lists(inner, max_size=3).map(tuple)
    branches = st.lists(body, min_size=2, max_size=3).map(tuple)
    return _around(inner) | st.builds(Together, branches)


def _programs(*, together: bool) -> st.SearchStrategy[Program]:
    inner = st.recursive(_quiet, _around_or_beside if together else _around, max_leaves=10)
    return st.lists(inner, min_size=1, max_size=5).map(tuple)


sequential: st.SearchStrategy[Program] = _programs(together=False)
concurrent: st.SearchStrategy[Program] = _programs(together=True)


@dataclass(slots=True)
class World:
    """What a program does outside its run: it survives every crash."""

    executed: list[str] = field(default_factory=list[str])
    """The idempotency keys of the steps whose bodies have run to their end."""
    drawn: list[str] = field(default_factory=list[str])


class _Flaky(Exception):
    pass


def agent_of(program: Program, world: World) -> Callable[..., Awaitable[None]]:
    """An agent that does this."""

    @agent("program")
    async def body(ctx: Context, text: str) -> None:
        del text
        await _Attempt(ctx, world).do(program)

    return body


class _Attempt:
    def __init__(self, ctx: Context, world: World) -> None:
        self._ctx = ctx
        self._world = world
        self._tries: Counter[str] = Counter()

    async def do(self, program: Program) -> None:
        for each in program:
            await asyncio.sleep(0)
            await self._do(each)

    async def _do(self, each: Do) -> None:
        ctx = self._ctx
        match each:
            case Say(text):
                ctx.say(text)
            case Give(value):
                ctx.emit(events.ToolFinished(call="c", output=value))
            case Draw(kind):
                self._world.drawn.append(str(getattr(ctx, kind)()))
            case Ask(text):
                ctx.say(str(await ctx.ask(Prompt(text))))
            case Step():
                await self._step(each)
            case Scoped(name, body):
                with ctx.scope(name):
                    await self.do(body)
            case Together(branches):
                await asyncio.gather(*(self._branch(branch) for branch in branches))

    async def _branch(self, branch: Program) -> None:
        with self._ctx.scope("branch"):
            await self.do(branch)

    async def _step(self, step: Step) -> None:
        call = {"step": self._ctx.step, "tool": self._ctx.tool, "model": self._ctx.model}[step.kind]

        async def body() -> Json:
            await self.do(step.body)
            key = self._ctx.idempotency_key
            self._tries[key] += 1
            if self._tries[key] <= step.fails:
                raise _Flaky
            self._world.executed.append(key)
            usage: Json = {"input_tokens": len(step.body), "output_tokens": 1}
            return {"text": f"({step.name})", "usage": usage}

        try:
            # More tries than one attempt uses up: those of the attempts before count, too.
            retries = 0 if step.fails == 2 else 9
            said = str(
                await call(step.name, body, key=step.key, retries=retries, backoff_seconds=0)
            )
        except StepFailed as error:
            said = f"<{error.error}>"
        self._ctx.say(said)
