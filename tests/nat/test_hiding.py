"""Secrets of a configuration do not get out through errors."""

import pydantic
import pytest

from forebay.builtins.agents.nat.hiding import Secrets
from forebay.core.errors import InvalidInput


class Inner(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="allow")

    key: pydantic.SecretStr


class Config(pydantic.BaseModel):
    named: dict[str, Inner]
    several: list[pydantic.SecretStr] = []


SECRETS = Secrets(
    Config.model_validate(
        {
            "named": {"a": {"key": "first-secret", "more": pydantic.SecretStr("third-secret")}},
            "several": ["second-secret", "first-secret-and-more", "none", ""],
        }
    )
)


def test_every_secret_is_hidden_wherever_it_stands_and_the_longest_first():
    text = "first-secret second-secret third-secret first-secret-and-more none"
    assert SECRETS.hide(text) == "*** *** *** *** none"


def test_an_error_that_tells_a_secret_is_replaced_by_one_that_does_not():
    with pytest.raises(RuntimeError) as raised, SECRETS.hidden():
        raise KeyError("first-secret")
    assert str(raised.value) == "KeyError: '***'"
    assert raised.value.__suppress_context__


@pytest.mark.parametrize("error", [KeyError("x"), InvalidInput("first-secret"), SystemExit()])
def test_any_other_error_stays_itself(error: BaseException):
    with pytest.raises(type(error)) as raised, SECRETS.hidden():
        raise error
    assert raised.value is error
