"""One call: sent, sent again, followed where it is redirected to, until there is an answer."""

from collections.abc import Callable

from forebay.core.clock import Clock
from forebay.core.errors import AddressRefused, Unreachable
from forebay.ports.http import HttpRequest

from .answers import Answer
from .failures import FAILURES, typed
from .hops import Hop
from .pools import Pools
from .retrying import Retries


class Caller:
    """Makes calls."""

    def __init__(self, pools: Pools, clock: Clock, chance: Callable[[], float], agent: str) -> None:
        self._pools = pools
        self._clock = clock
        self._chance = chance
        self._defaults = {"accept": "*/*", "user-agent": agent}

    async def open(self, request: HttpRequest, *, encodings: str) -> Answer:
        """Call until there is an answer; whoever gets it closes it. Raises as HttpClient.send."""
        hop = Hop.first(request, {**self._defaults, "accept-encoding": encodings})
        retries = Retries(request.retries, self._clock, self._chance)
        for _ in range(request.redirects + 1):
            answer = await self._answer(hop, request, retries)
            following = await _following(hop, answer) if request.redirects else None
            if following is None:
                return answer
            hop = following
        raise Unreachable(f"{hop.where} redirects more than {request.redirects} times.")

    async def _answer(self, hop: Hop, request: HttpRequest, retries: Retries) -> Answer:
        while True:
            try:
                answer = await self._ask(hop, request)
            except FAILURES as error:
                pause = retries.after_failure(error, hop.method)
                if pause is None:
                    raise typed(error, hop.where, request.timeout_seconds) from None
            else:
                pause = retries.after_answer(answer.status, answer.headers.get("retry-after"))
                if pause is None:
                    return answer
                await answer.aclose()
            await self._clock.sleep(pause)

    async def _ask(self, hop: Hop, request: HttpRequest) -> Answer:
        pool = self._pools.of(hop.trust)
        response = await pool.handle_async_request(hop.wire(request.timeout_seconds))
        return Answer(response, hop, request.timeout_seconds, request.max_bytes)


async def _following(hop: Hop, answer: Answer) -> Hop | None:
    """Where an answer leads to. It is closed if that is somewhere. Raises AddressRefused."""
    try:
        following = hop.after(answer.status, answer.headers.get("location"))
    except AddressRefused:
        await answer.aclose()
        raise
    if following is not None:
        await answer.aclose()
    return following
