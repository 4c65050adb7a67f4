"""The lab in numbers for Prometheus, made from the view when it is asked for: no counter of its own can be wrong."""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from devicelab.service.views import MOODS, LabView


def exposition(lab: LabView) -> tuple[bytes, str]:
    """Return *lab* in Prometheus's text format, and its content type."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collected(lab))
    return generate_latest(registry), CONTENT_TYPE_LATEST


class _Collected:
    """A collector of one view."""

    def __init__(self, lab: LabView) -> None:
        self._lab = lab

    def collect(self) -> Iterator[Metric]:
        """Yield every metric of the view."""
        yield from _of_phones(self._lab)
        yield from _of_requests(self._lab)


def _of_phones(lab: LabView) -> Iterator[Metric]:
    states = GaugeMetricFamily("fer_lab_devices", "Phones by state.", labels=["state", "source"])
    sources = sorted({phone.source for phone in lab.phones})
    for state in MOODS:
        for source in sources:
            count = sum(phone.state == state and phone.source == source for phone in lab.phones)
            states.add_metric([state, source], count)
    yield states
    labels = ["device", "source"]
    temperature = GaugeMetricFamily("fer_lab_temperature_celsius", "Battery temperature.", labels=labels)
    battery = GaugeMetricFamily("fer_lab_battery_ratio", "Battery charge, 0 to 1.", labels=labels)
    factor = GaugeMetricFamily("fer_lab_factor", "Time over a typical phone's.", labels=labels)
    strikes = GaugeMetricFamily("fer_lab_strikes", "Failures that count against a phone.", labels=labels)
    for phone in lab.phones:
        of = [phone.name, phone.source]
        if phone.health is not None:
            temperature.add_metric(of, phone.health.temperature_c)
            battery.add_metric(of, phone.health.battery_percent / 100)
        if phone.factor is not None:
            factor.add_metric(of, phone.factor)
        strikes.add_metric(of, phone.strikes)
    yield from (temperature, battery, factor, strikes)


def _of_requests(lab: LabView) -> Iterator[Metric]:
    queue = GaugeMetricFamily("fer_lab_requests", "Requests that have not ended, by stage.", labels=["stage"])
    queue.add_metric(["waiting"], lab.waiting)
    queue.add_metric(["running"], lab.running)
    yield queue
    yield CounterMetricFamily("fer_lab_measurements", "Measurements committed.", value=lab.measured)
    yield CounterMetricFamily(
        "fer_lab_answers_from_store", "Requests answered from the store.", lab.answered_from_store
    )
    yield CounterMetricFamily("fer_lab_requests_failed", "Requests refused or failed.", value=lab.failed)
    opened = sum(incident.closed_at is None for incident in lab.incidents)
    yield GaugeMetricFamily("fer_lab_incidents_open", "Incidents that are open.", value=opened)
    yield GaugeMetricFamily("fer_lab_last_event", "Number of the newest event.", value=lab.seq)
