"""A processor of vLLM's that lowers the tokens which would go on with a run copied from the passage.

The interface is that of vLLM's first model runner; the second one, the default on GPUs, has another.
"""

from collections.abc import Callable
from typing import Any

import torch
from vllm import SamplingParams
from vllm.v1.sample.logits_processor import AdapterLogitsProcessor

from rephrase.engines.copied_runs import CopiedRuns, lowered_positions
from rephrase.models.tokenizer import HubTokenizer
from rephrase.records import CopyPenalty

# The name under which a request hands its penalty to the processor.
_NAME = "copy_penalty"


class CopyPenaltyProcessor(AdapterLogitsProcessor):
    """Requests without a penalty are left alone."""

    def is_argmax_invariant(self) -> bool:
        return False

    def new_req_logits_processor(
        self, params: SamplingParams
    ) -> Callable[[list[int], torch.Tensor], torch.Tensor] | None:
        given = (params.extra_args or {}).get(_NAME)
        if given is None:
            return None
        runs = CopiedRuns(given["passage"], frozenset(given["lowered"]))

        def lower(generated: list[int], logits: torch.Tensor) -> torch.Tensor:
            if tokens := runs.continuing(generated):
                logits[tokens] -= given["amount"]
            return logits

        return lower


def copy_penalty_arguments(penalty: CopyPenalty, tokenizer: HubTokenizer) -> dict[str, Any]:
    """What a request tells the processor, as `SamplingParams.extra_args`."""
    token_ids, starts = tokenizer.token_ids(penalty.passage), tokenizer.token_starts(penalty.passage)
    if len(token_ids) != len(starts):
        return {}  # the passage has what looks like a special token: the two do not belong together
    lowered = lowered_positions(starts, penalty.word_starts, len(penalty.passage))
    return {_NAME: {"amount": penalty.amount, "passage": token_ids, "lowered": lowered}}
