"""Langflow's answer to a run, folded from its journal."""

from __future__ import annotations

from flowray.engine.outcome import Outcome, answering
from flowray.engine.ports import RunRequest
from flowray_serve.answers.run import RunAnswer


def run_response(request: RunRequest, outcome: Outcome) -> RunAnswer:
    """Langflow's RunResponse: one entry of `outputs` for the one input, with a ResultData for each answering node."""
    nodes = answering(request.flow, output_type=request.output_type, output_component=request.output_component)
    return {
        "session_id": request.session,
        "outputs": [
            {
                "inputs": {} if request.input_value is None else {"input_value": request.input_value},
                "outputs": [outcome.results[node] for node in nodes if node in outcome.results],
            }
        ],
    }
