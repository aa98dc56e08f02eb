"""Workflow files of NVIDIA NeMo Agent Toolkit (NAT), run by its own builder.

Nothing of NAT is imported before a file is loaded.
"""

from .workflow import NatWorkflow

__all__ = ["NatWorkflow"]
