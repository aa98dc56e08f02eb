"""Who asks. Anonymous is a caller too."""

import msgspec


class Caller(msgspec.Struct, frozen=True, omit_defaults=True):
    """The identity a run is started and read under."""

    name: str = "anonymous"
    tenant: str = "default"
    role: str = "user"


ANONYMOUS = Caller()
