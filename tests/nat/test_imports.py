"""NAT is imported where a NAT workflow is run, and nowhere else."""

import subprocess
import sys

import pytest

from .conftest import CONFIGS

_TELL = "import sys; print(sorted({name.partition('.')[0] for name in sys.modules} & {'nat'}))"

_AGENTS = f"""
from pathlib import Path
from forebay.builtins.agents.nat import NatWorkflow
from forebay.control.workflow.reading import read_workflow
from forebay.core.clock import SystemClock
file = Path({str(CONFIGS / "main.yml")!r})
nat = NatWorkflow(read_workflow(file, {{}}).data, str(file), SystemClock())
assert nat.is_here and nat.absence is None and nat.problem is None
assert [agent.name for agent in nat.agents][0] == "workflow"
assert nat.agents[0].read_input({{"any": "thing"}}) == {{"any": "thing"}}
"""


@pytest.mark.parametrize(
    "code",
    ["import forebay", "import forebay.app.application, forebay.cli.serve", _AGENTS],
    ids=["the front door", "a server", "a workflow that is not run yet"],
)
def test_nat_is_not_imported_by(code: str):
    command = [sys.executable, "-c", f"{code}\n{_TELL}"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
