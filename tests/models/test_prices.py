"""The price list: what stands in it, and which names it is for."""

import re

import pytest

from forebay.builtins.models.prices import price_list, price_of
from forebay.core.events import Usage
from forebay.ports.models import Price


@pytest.mark.parametrize(
    "name", ["gpt-4o", "gpt-4o-2024-08-06", "gpt-4o-latest", "gpt-4o@20240806"]
)
def test_an_edition_costs_what_its_model_does(name: str) -> None:
    assert price_of(name) == Price(2.5, 10.0)


@pytest.mark.parametrize(
    "name",
    ["gpt-4o-audio-preview", "gpt-4", "ft:gpt-4o:me", "gpt-4o-mini-tts", "llama3.2", "", "o1-pro"],
)
def test_a_name_that_is_only_alike_has_no_price(name: str) -> None:
    assert price_of(name) is None


def test_claudes_editions_are_known() -> None:
    assert price_of("claude-sonnet-4-5-20250929") == price_of("claude-sonnet-4-5") == Price(3, 15)


def test_a_price_is_for_a_million_tokens() -> None:
    price = price_of("gpt-4.1-mini")

    assert price
    assert price.of(Usage(1_000_000, 500_000)) == pytest.approx(0.4 + 0.8)


def test_the_list_tells_when_and_where_from() -> None:
    listed = price_list()

    assert re.fullmatch(r"\d{4}-\d{2}-\d{2}", listed.written)
    assert listed.sources and listed.about
    names = [row.model for row in listed.prices]
    assert len(names) == len(set(names))
    assert all(0 <= row.input <= 100 and 0 <= row.output <= 200 for row in listed.prices)
