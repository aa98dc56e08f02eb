"""What clients ask for, and what they answer when they are asked."""

from collections.abc import Sequence

from forebay.core.json import Json

from .stories import Plan

_HOLDING = "holding"


def holding(seconds: float) -> Plan:
    """One step keeps the interpreter lock for so long. It is asked for once in a round."""
    return Plan(_HOLDING, {"seconds": seconds}, 0, seconds + 2)


def is_holding(plan: Plan) -> bool:
    """Whether this keeps the interpreter lock."""
    return plan.agent == _HOLDING


PLANS: Sequence[Plan] = (
    Plan("interview", {"name": "Ada"}, 5, 3.0),
    Plan("interview", {"name": "Grace"}, 2, 3.0),
    Plan("crowd", {"tools": 5}, 4, 2.0),
    Plan("crowd", {"tools": 12}, 2, 2.0),
    Plan("talker", {"chunks": 25}, 4, 2.5),
    Plan("stubborn", {"failures": 2}, 4, 2.0),
    Plan("nested", {"parts": 3}, 3, 2.0),
    Plan("drawer", {"draws": 4}, 3, 1.5),
    Plan("moody", {"chunks": 12}, 2, 1.5),
    Plan("reader", {"chunks": 12}, 2, 2.0),
    Plan("novel", {"chunks": 1500}, 1, 4.0),
    Plan("hoarder", {"kilobytes": 300}, 1, 1.5),
    Plan("talker", {"chunks": 60}, 1, 5.0, cancels_after=12),
    Plan("crowd", {"tools": 8}, 1, 2.0, cancels_after=9),
)


def answer_to(plan: Plan) -> Json:
    """What a client answers."""
    match plan.input:
        case {"name": str(name)}:
            return f"I am {name}"
        case _:
            return "nobody asked for this"
