"""The text that Prometheus reads: sums and samples in its own format. The only door to prometheus-client."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4, Metric, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    SummaryMetricFamily,
)
from prometheus_client.registry import Collector

from flowray.observe.families import COUNTED, LOOKED_UP, Family
from flowray.observe.tally import BEYOND, COUNT, SUM, Series
from flowray.observe.totals import Totals
from flowray_serve.metrics.samples import Sample, Samples

MEDIA_TYPE = CONTENT_TYPE_PLAIN_0_0_4
_Parts = Mapping[str, float]
_ByLabels = Mapping[tuple[str, ...], _Parts]


@dataclass(frozen=True, kw_only=True)
class Exposition:
    """Everything that is measured."""

    totals: Totals
    samples: Samples

    async def text(self, tenants: Collection[str] | None = None) -> bytes:
        """What concerns these tenants, or everything."""
        sums, samples = await self.totals.read(tenants), await self.samples.of(tenants)
        # A large service has a hundred thousand lines, which take a second.
        return await asyncio.to_thread(exposed, sums, samples)


def exposed(sums: Mapping[Series, float], samples: Sequence[Sample]) -> bytes:
    """These numbers as text. A family that this version does not know is left out: another may have counted it."""
    return generate_latest(_Collected(sums, samples))


class _Collected(Collector):
    def __init__(self, sums: Mapping[Series, float], samples: Sequence[Sample]) -> None:
        self._counted: defaultdict[str, defaultdict[tuple[str, ...], dict[str, float]]]
        self._counted = defaultdict(lambda: defaultdict(dict))
        for series, total in sums.items():
            self._counted[series.family][series.labels][series.part] = total
        self._samples = samples

    def collect(self) -> Iterator[Metric]:
        for family in COUNTED:
            yield _counted(family, dict(sorted(self._counted[family.name].items())))
        for family in LOOKED_UP:
            gauge = GaugeMetricFamily(family.name, family.help, labels=family.labels)
            for sample in self._samples:
                if sample.family is family:
                    gauge.add_metric(sample.labels, sample.value)
            yield gauge


def _counted(family: Family, by_labels: _ByLabels) -> Metric:
    match family.kind:
        case "histogram":
            return _histogram(family, by_labels)
        case "summary":
            summary = SummaryMetricFamily(family.name, family.help, labels=family.labels)
            for labels, parts in by_labels.items():
                summary.add_metric(labels, count_value=int(parts.get(COUNT, 0)), sum_value=parts.get(SUM, 0.0))
            return summary
        case _:
            counter = CounterMetricFamily(family.name, family.help, labels=family.labels)
            for labels, parts in by_labels.items():
                counter.add_metric(labels, parts.get("", 0.0))
            return counter


def _histogram(family: Family, by_labels: _ByLabels) -> Metric:
    histogram = HistogramMetricFamily(family.name, family.help, labels=family.labels)
    for labels, parts in by_labels.items():
        below, buckets = 0.0, []
        for bound in (*map(repr, family.buckets), BEYOND):
            below += parts.get(bound, 0.0)
            buckets.append((bound, below))
        histogram.add_metric(labels, buckets, sum_value=parts.get(SUM, 0.0))
    return histogram
