"""The speech model of a deployment behind the contract: one service, whose failures are remembered.

Made by the wiring where a speech model is configured. A service that keeps failing is left out for a while, as the
ladder of language models does it, so that each voice message costs its customer no wait.
"""

from __future__ import annotations

import structlog

from foundation import errors
from foundation.clock import Clock
from foundation.language_models import spending
from foundation.language_models.contract import Completion, Recording, Usage
from foundation.language_models.ladder import Ladder
from foundation.language_models.litellm_connection import Connection
from foundation.settings import ModelChoice
from foundation.telemetry import Metrics

log = structlog.get_logger(__name__)


class LitellmSpeech:
    def __init__(
        self, choice: ModelChoice, *, budget: spending.Budget, clock: Clock, metrics: Metrics
    ) -> None:
        self._ladder = Ladder([choice], clock)
        self._rung = self._ladder.rungs[0]
        self._connection = Connection(self._ladder.rungs)
        self._budget = budget
        self._metrics = metrics

    @property
    def name(self) -> str:
        return self._rung.choice.model

    async def transcribe(self, recording: Recording) -> Completion:
        if self._ladder.is_out(self._rung) and self._rung.last_failure is not None:
            raise self._rung.last_failure
        reserve = self._budget.set_aside(spending.most_for_speech(self._rung.choice, len(recording.content)))
        usage = Usage(self.name, 0, 0, 0.0)
        result = "left"
        try:
            answer = await self._connection.transcribe(self._rung, recording)
            usage, result = answer.usage, "ok"
            self._ladder.worked(self._rung)
            return Completion(answer.text, answer.usage)
        except errors.UpstreamError as failure:
            result = failure.code
            self._ladder.failed(self._rung, failure)
            raise
        finally:
            reserve.settle(usage.cost)
            self._metrics.model_calls.labels(self.name, result).inc()
            log.info(
                "speech_call", model=self.name, read=usage.input_tokens, written=usage.output_tokens,
                cost=round(usage.cost, 6), result=result,
            )  # fmt: skip
