"""Spans as OpenTelemetry's own protocol has them. The only door to its libraries."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

from flowray.observe.spans import Fact, Span

_LONGEST_CHARS = 4_000
_LAST_S = 2**63 // 10**9  # in the year 2262
_KINDS = {"internal": SpanKind.INTERNAL, "server": SpanKind.SERVER, "client": SpanKind.CLIENT}
_SAMPLED = TraceFlags(TraceFlags.SAMPLED)


class Collector:
    """Sends spans over OTLP/HTTP, and tries for `within_s` where it is not taken at once."""

    def __init__(self, url: str, *, headers: Mapping[str, str], version: str, within_s: float) -> None:
        self._exporter = OTLPSpanExporter(endpoint=url, headers=dict(headers), timeout=within_s)
        self._resource = Resource({"service.name": "flowray", "service.version": version})
        self._scope = InstrumentationScope("flowray", version)

    async def send(self, spans: Sequence[Span]) -> bool:
        """Whether they were taken. Raises (ValueError, TypeError, OverflowError) when they cannot be encoded."""
        told = [self._told(span) for span in spans]
        return await asyncio.to_thread(self._export, told)

    def _export(self, told: Sequence[ReadableSpan]) -> bool:
        if self._exporter.export(told) is SpanExportResult.SUCCESS:
            return True
        encode_spans(told)  # the exporter does not say whether that was it
        return False

    def _told(self, span: Span) -> ReadableSpan:
        return ReadableSpan(
            name=_fit(span.name),
            context=_context(span.trace, span.id),
            parent=_context(span.trace, span.parent) if span.parent else None,
            resource=self._resource,
            attributes=_facts(span.facts),
            events=[Event(_fit(note.name), _facts(note.facts), timestamp=_ns(note.at)) for note in span.notes],
            kind=_KINDS[span.kind],
            instrumentation_scope=self._scope,
            status=Status(StatusCode.UNSET) if span.error is None else Status(StatusCode.ERROR, _fit(span.error)),
            start_time=_ns(span.began_at),
            end_time=_ns(span.ended_at),
        )


def _context(trace: int, span: int) -> SpanContext:
    return SpanContext(trace, span, is_remote=False, trace_flags=_SAMPLED)


def _facts(facts: Mapping[str, Fact]) -> Mapping[str, Fact]:
    return {name: _fit(value) if isinstance(value, str) else value for name, value in facts.items()}


def _fit(text: str) -> str:
    """As much as people read, without what UTF-8 has not: the library gives up all spans for one such character."""
    return text[:_LONGEST_CHARS].encode(errors="replace").decode()


def _ns(at: float) -> int:
    """The nearest moment that OTLP can say: a journal may tell of any."""
    within = min(max(0.0, at), _LAST_S)  # in this order, what is no number is 0
    return round(within * 1e6) * 1000  # finer, a float of today's seconds is not
