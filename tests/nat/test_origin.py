"""Who a NAT workflow believes its caller to be, and what it sees of his request."""

import pytest

from forebay.builtins.agents.nat.origin import Headers, Origin, user_of
from forebay.core.caller import ANONYMOUS, Caller


def test_a_user_has_the_id_that_nat_gives_him():
    assert user_of(Caller("abc"), Origin()) == "152f5ceb-ed84-5d9b-9777-f31c9251b83d"


def test_who_has_no_name_may_say_who_he_is():
    assert user_of(ANONYMOUS, Origin()) is None
    assert user_of(ANONYMOUS, Origin(user_id="u1")) == "u1"


def test_who_has_a_name_may_not_say_that_he_is_somebody_else():
    ada = user_of(Caller("ada"), Origin())
    assert user_of(Caller("ada"), Origin(user_id="u1")) == ada


def test_users_of_two_tenants_are_two_users():
    one, two = (Caller("ada", tenant=tenant) for tenant in ("default", "other"))
    assert user_of(one, Origin()) != user_of(two, Origin())


def test_headers_are_found_whatever_their_case():
    headers = Headers({"X-Probe": "p"})
    assert headers["x-PROBE"] == headers.get("X-Probe") == "p"
    assert "X-PROBE" in headers
    assert headers.get("other") is None
    with pytest.raises(KeyError):
        headers["other"]
