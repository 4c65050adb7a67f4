"""What the read routes, the pages and the metrics say."""

import asyncio

import pytest
from prometheus_client.parser import text_string_to_metric_families

from devicelab.service.charts import factor_chart, timeline
from devicelab.service.pages import counts, phone_fragments, wall_fragments
from devicelab.service.views import FactorPoint, LabView, Span


@pytest.mark.parametrize("part", ["status", "devices", "queue", "leases", "incidents"])
def test_parts_of_the_lab(web, of, desk, part):
    answer = web.get(f"/api/v1/{part}", headers=of("read-only"))
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    assert desk.asked == {part: 1}


def test_one_phone_with_its_history(web, of):
    body = web.get("/api/v1/devices/moto-g6-3", headers=of("read-only")).json()
    assert (body["phone"]["name"], body["phone"]["source"]) == ("moto-g6-3", "simulated")
    assert [span["state"] for span in body["history"]["spans"]] == ["READY", "LEASED"]
    missing = web.get("/api/v1/devices/nobody", headers=of("read-only"))
    assert (missing.status_code, missing.json()["kind"]) == (404, "NoDeviceError")


def test_events_as_a_list(web, of):
    assert web.get("/api/v1/events?after=2&limit=2", headers=of("read-only")).json() == [{"seq": 3}, {"seq": 4}]
    assert web.get("/api/v1/events?limit=1001", headers=of("read-only")).status_code == 422


def test_measurements_are_bounded(web, of):
    assert web.get("/api/v1/measurements?limit=7", headers=of("read-only")).json() == [{"limit": 7}]


def test_metrics_are_prometheus(web, of):
    answer = web.get("/metrics", headers=of("read-only"))
    families = {family.name: family for family in text_string_to_metric_families(answer.text)}
    devices = {(s.labels["state"], s.labels["source"]): s.value for s in families["fer_lab_devices"].samples}
    assert devices["READY", "simulated"] == 51
    assert sum(devices.values()) == 64
    assert len(families["fer_lab_temperature_celsius"].samples) == 64
    assert families["fer_lab_incidents_open"].samples[0].value == 1


def test_the_wall_shows_every_phone_and_says_simulated(web, of):
    html = web.get("/", headers=of("read-only")).text
    assert html.count('class="tile ') == 64
    assert html.count(">simulated<") >= 64
    assert "some-read-only (read-only)" in html


def test_a_phones_page_escapes_and_offers_actions_to_operators_only(web, of):
    for role, disabled in (("read-only", True), ("operator", False)):
        html = web.get("/phones/moto-g6-2", headers=of(role)).text
        assert "&lt;script&gt;" in html
        assert "<script>" not in html
        assert ("disabled" in html) is disabled
        assert html.count('name="action"') == 6


def test_fragments_are_what_was_touched(desk):
    drawn = wall_fragments(desk.view(), frozenset({"moto-g6-2", "gone"}))
    assert set(drawn) == {"phone-moto-g6-2", "summary", "queue", "incidents"}
    assert len(wall_fragments(desk.view(), None)) == 67
    parts = phone_fragments(desk.view().phones[0], asyncio.run(desk.history("moto-g6-1")))
    assert all(f'id="{name}"' in html for name, html in parts.items())


def test_counts_name_every_group(desk):
    assert dict(counts(desk.view())) == {"ready": 51, "working": 3, "starting": 3, "resting": 2, "sick": 2, "out": 3}
    assert sum(count for _, count in counts(LabView(seq=0, at=0, phones=()))) == 0


def test_charts_are_text_for_those_who_cannot_see():
    spans = [Span(state="READY", start=0, end=60), Span(state="QUARANTINED", start=60, end=90)]
    drawn = timeline(spans)
    assert 'aria-label="states from 1970-01-01 00:00:00 to 1970-01-01 00:01:30: ready, quarantined"' in drawn
    assert drawn.count("<rect") == 2
    assert "now 1.020: 2 calibrations" in factor_chart(
        [FactorPoint(at=0, factor=1, error=0.01), FactorPoint(at=9, factor=1.02)]
    )
    assert "no history yet" in timeline([])
    assert "not calibrated yet" in factor_chart([])
