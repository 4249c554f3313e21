"""Figures say on which machine they were measured."""

from __future__ import annotations

import json

import torch

from gesso.evaluation.machine import describe_machine


def test_the_machine_is_described() -> None:
    machine = describe_machine(torch.device("cpu"))
    assert machine["device"] == "cpu"
    assert machine["cpu"]
    assert machine["threads"] == torch.get_num_threads()
    assert machine["torch"] == torch.__version__
    json.dumps(machine)
