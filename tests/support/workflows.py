"""Folders with workflow files, and what they are told of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import dedent

import pytest

from forebay.control.workflow.reading import WorkflowFile, read_workflow
from forebay.core.clock import Clock
from forebay.core.errors import WorkflowError
from forebay.ports.agent import Agent
from forebay.ports.components import Parts
from forebay.ports.http import HttpClient
from forebay.ports.models import Models
from forebay.ports.tools import Tools


@dataclass(slots=True)
class Files:
    """A folder, which is the current one: files in it are named without it."""

    folder: Path
    environment: Mapping[str, str] = field(default_factory=dict[str, str])

    def write(self, text: str, name: str = "w.yml") -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text).lstrip("\n"))
        return path

    def read(self, text: str, *overrides: tuple[str, str]) -> WorkflowFile:
        """What a workflow file of this text says."""
        self.write(text)
        return self.again(*overrides)

    def again(self, *overrides: tuple[str, str]) -> WorkflowFile:
        return read_workflow(Path("w.yml"), self.environment, overrides)

    def refused(self, text: str, *overrides: tuple[str, str]) -> str:
        """What is told of a workflow file that cannot be read."""
        with pytest.raises(WorkflowError) as raised:
            self.read(text, *overrides)
        return raised.value.message


class Unused(Parts):
    """Parts that no component asks for: what is only built has no use for them."""

    @property
    def http(self) -> HttpClient:
        raise AssertionError

    @property
    def clock(self) -> Clock:
        raise AssertionError

    @property
    def models(self) -> Models:
        raise AssertionError

    @property
    def tools(self) -> Tools:
        raise AssertionError

    def agent(self, name: str) -> Agent:
        raise AssertionError(name)
