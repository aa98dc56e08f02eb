"""Finding out who asks, and which runs are his."""

import re

from forebay.core.caller import ANONYMOUS, Caller
from forebay.core.errors import TokenNotAccepted
from forebay.core.run import Run

_JWT = re.compile(r"bearer\s+eyJ[\w-]*\.[\w-]+\.[\w-]*\s*", re.ASCII | re.IGNORECASE)


class Callers:
    """Turns credentials into callers.

    There are no users yet. An opaque credential grants nothing and is no error, since clients of
    other servers send one by habit; a JWT claims an identity, and nobody here can verify it.
    """

    def identify(self, authorization: str | None) -> Caller:
        """Who presents this header. Raises TokenNotAccepted."""
        if authorization is not None and _JWT.fullmatch(authorization):
            raise TokenNotAccepted("No validator is configured, so this JWT cannot be verified.")
        return ANONYMOUS


def may_open(caller: Caller, run: Run) -> bool:
    """Whether a run belongs to this caller."""
    return run.tenant == caller.tenant and run.caller == caller.name
