"""`forebay run`: one run in this process, its answer as it comes."""

import argparse
import asyncio
import json
import logging
import signal
import sys
from contextlib import aclosing
from dataclasses import replace

from forebay.app import Application, log_form
from forebay.core.caller import ANONYMOUS
from forebay.core.errors import RunFinished, StartError
from forebay.core.events import Event, OutputChunk, OutputValue
from forebay.core.json import Json
from forebay.desk.desk import Submission
from forebay.desk.started import Started
from forebay.dialects.native.show import run_model
from forebay.runs.service import View
from forebay.settings import Settings, load

from .logs import set_up_logging
from .outcome import DONE, FAILED
from .parser import given

_DIALECT = "cli"


def run(arguments: argparse.Namespace) -> int:
    """Run an agent; tells whether it succeeded."""
    settings, _ = load(given(arguments))
    text: str = sys.stdin.read() if arguments.text == "-" else arguments.text
    settings = replace(settings, log_level="error")
    set_up_logging(settings.log_level, log_form(settings, sys.stderr))
    if not settings.dev:
        logging.getLogger("forebay.runs").disabled = True  # a failure is told in one line
    view = asyncio.run(_run(settings, arguments.agent, text, as_json=arguments.json))
    failure = view.fold.failure
    if failure is None:
        return DONE
    print(f"forebay: the run failed ({failure.reason}): {failure.message}", file=sys.stderr)
    return FAILED
