"""The conversation with a lab's service: patience, uploads, typed errors; no network anywhere."""

from pathlib import Path

import pytest

from devicelab.api import Problem, Submission, Ticket
from devicelab.conversation import Answer, Ask, Wait, asking, measuring
from devicelab.errors import AccessError, DeviceError, ServiceError, StoreError, UploadError, WorkloadError
from devicelab.measurement import Measurement

SUBMISSION = Submission(sha256="a" * 64, fingerprint="b" * 64, threads=4)
MEASUREMENT = Measurement(
    **dict.fromkeys(("median_ms", "low_ms", "high_ms", "p90_ms", "first_ms", "phone_seconds", "measured_at"), 1.0),
    **dict.fromkeys(("fingerprint", "device", "product", "os_build", "runtime", "protocol"), "x"),
    runs=1,
    threads=4,
    source="simulated",
    readings=(),
    blocks=2,
)


def walk(talk, answers):
    """Let *talk* run over *answers*; return what it returned and every step that it took."""
    steps, answers, answer = [], iter(answers), None
    while True:
        try:
            step = talk.send(answer)
        except StopIteration as end:
            return end.value, steps
        steps.append(step)
        answer = None if isinstance(step, Wait) else next(answers)


def ticket(**fields):
    return Answer(200, Ticket(key="k", stage="waiting", **fields).model_dump(mode="json"))


def test_asks_the_same_until_the_request_has_ended():
    away = [Answer(0, "connection refused"), Answer(503, "starting"), Answer(502, "<html>")]
    answers = [ticket(), *away, ticket(), ticket(measurement=MEASUREMENT)]
    measured, steps = walk(measuring("k", SUBMISSION, Path("m"), patience=600), answers)
    assert measured == MEASUREMENT
    asks = [step for step in steps if isinstance(step, Ask)]
    assert len(set(map(repr, asks))) == 1
    assert (asks[0].method, asks[0].path) == ("PUT", "/api/v1/requests/k")
    pauses = [step.seconds for step in steps if isinstance(step, Wait)]
    assert pauses == sorted(pauses)
    assert 0.05 <= pauses[0] <= 0.1


def test_sends_the_file_only_when_it_is_wanted():
    answers = [ticket(upload=True), Answer(201, {}), ticket(measurement=MEASUREMENT)]
    _, steps = walk(measuring("k", SUBMISSION, Path("m.tflite"), patience=1), answers)
    assert [(step.method, step.path[-10:], step.file) for step in steps] == [
        ("PUT", "requests/k", None),
        ("PUT", "a" * 10, Path("m.tflite")),
        ("PUT", "requests/k", None),
    ]


def test_gives_up_when_patience_ends():
    talk = asking(Ask("GET", "/x"), patience=60)
    with pytest.raises(ServiceError, match=r"has not answered for 6\d s \(connection refused\)"):
        walk(talk, iter(lambda: Answer(0, "connection refused"), None))


@pytest.mark.parametrize(
    ("answer", "kind", "message"),
    [
        (Answer(401, {"kind": "AccessError", "message": "who are you?"}), AccessError, "who are you"),
        (Answer(403, {"kind": "AccessError", "message": "not you"}), AccessError, "not you"),
        (Answer(422, {"kind": "UploadError", "message": "too large"}), UploadError, "too large"),
        (Answer(500, "boom"), ServiceError, "answered 500: boom"),
        (Answer(200, {"hello": "there"}), ServiceError, "no ticket"),
        (ticket(problem=Problem(kind="DeviceError", message="hot")), DeviceError, "hot"),
        (ticket(problem=Problem(kind="Unheard", message="of")), ServiceError, "Unheard: of"),
    ],
)
def test_errors_come_back_in_their_own_class(answer, kind, message):
    with pytest.raises(kind, match=message):
        walk(measuring("k", SUBMISSION, Path("m"), patience=1), [answer])


@pytest.mark.parametrize("error", [DeviceError("hot"), UploadError("big"), StoreError("full"), WorkloadError("bad")])
def test_an_error_crosses_the_wire(error):
    back = Problem.model_validate_json(Problem.of(error).model_dump_json()).error()
    assert (type(back), str(back)) == (type(error), str(error))


def test_a_strangers_error_becomes_the_services():
    assert isinstance(Problem.of(KeyError("x")).error(), ServiceError)
