"""Tests of this folder fail if one of their tasks dies unheard."""

from tests.support.strict import no_task_dies_unheard

__all__ = ["no_task_dies_unheard"]
