"""Families of errors become statuses, here and nowhere else."""

import pytest

from forebay.core import errors
from forebay.core.errors import ForebayError
from forebay.http import errors as http_errors
from forebay.http.errors import headers_of, status_of
from tests.support.errors import every_error, every_raised_error, one_of

FAMILY_STATUS: list[tuple[type[ForebayError], int]] = [
    (errors.Malformed, 400),
    (errors.Unauthenticated, 401),
    (errors.Denied, 403),
    (errors.NotFound, 404),
    (errors.Conflict, 409),
    (errors.TooLarge, 413),
    (errors.Invalid, 422),
    (errors.Busy, 429),
    (errors.Unavailable, 503),
    (errors.Full, 507),
    (errors.Broken, 500),
    (errors.ForebayError, 500),
    (errors.StartError, 500),
    (http_errors.MethodNotAllowed, 405),
    (http_errors.UnsupportedMediaType, 415),
    (http_errors.ClientLeft, 400),
]


@pytest.mark.parametrize(("family", "status"), FAMILY_STATUS, ids=lambda each: str(each))
def test_a_family_has_a_status(family: type[ForebayError], status: int):
    assert status_of(one_of(family)) == status


@pytest.mark.parametrize("kind", every_error(), ids=lambda kind: kind.__name__)
def test_every_error_has_the_status_of_its_nearest_family(kind: type[ForebayError]):
    families = dict(FAMILY_STATUS)
    nearest = next(each for each in kind.__mro__ if each in families)
    assert status_of(one_of(kind)) == families[nearest]


@pytest.mark.parametrize("kind", every_raised_error(), ids=lambda kind: kind.__name__)
def test_an_error_brings_the_headers_that_its_status_asks_for(kind: type[ForebayError]):
    error = one_of(kind)
    headers = dict(headers_of(error))
    status = status_of(error)
    assert (b"retry-after" in headers) == (status in (429, 503, 507))
    assert (b"allow" in headers) == (status == 405)
    assert (b"www-authenticate" in headers) == (status == 401)


@pytest.mark.parametrize(
    ("seconds", "header"), [(0.2, b"1"), (1.0, b"1"), (7.6, b"8"), (60.0, b"60")]
)
def test_retry_after_is_whole_seconds_and_never_none(seconds: float, header: bytes):
    error = errors.Busy()
    error.retry_after = seconds
    assert dict(headers_of(error))[b"retry-after"] == header
