"""The parser on outputs of every release since 2018, and on thousands that were cut, lost, doubled or mixed.

Sources of the outputs: tf1.12 i.MX Yocto documentation; tf1.13 yuenshome issue 77; tf2.0 a published log of a
Raspberry-class board; tf2.3 tensorflow issue 42507; tf2.x_slow meta-tensorflow-lite's README (QEMU); litert_app a
published guide to the app's log (its plan lines filled in from the source); litert_native written after the source.
"""

import random
import re
from dataclasses import replace
from pathlib import Path

import pytest

from devicelab.benchmark_output import Invocation, OutputRefused, Refusal, is_over, parse

FOLDER = Path(__file__).parent / "outputs"


def defaults(graph, threads, runs=50, warmup=1):
    return Invocation(graph, threads, runs, warmup, min_seconds=1, warmup_seconds=0.5)


ASKED = {
    "tf1.12": defaults("mobilenet_v1_1.0_224_quant.tflite", 1),
    "tf1.13": defaults("/data/local/tmp/tflite/tfmodel/mobilenet_v1_1.0_224_quant.tflite", 1, 10, 4),
    "tf2.0": defaults("../../tensorflow-models/mobilenet-v1/mobilenet_v1_1.0_224_quant.tflite", 1),
    "tf2.3": defaults("/data/local/tmp/espcn_harmonic_2x_slim_w_cl.tflite", 4),
    "tf2.x_slow": defaults("./mobilenet_v1_1.0_224.tflite", 4),
    "litert_app": defaults("/data/local/tmp/best_int8.tflite", 4, 25),
    "litert_native": Invocation("/data/local/tmp/ferlab/0f.tflite", 1, 20),
}
# runs, first, mean, min, max, sd, median: read off the files by a person
FIGURES = {
    "tf1.12": (50, 146161, 137722, 137079, 143416, 896, None),
    "tf1.13": (15, 127425, 66767.6, 66699, 66838, 39, None),
    "tf2.0": (50, 751932, 747733, 747331, 748577, 293, None),
    "tf2.3": (50, 49060, 33209.4, 32641, 34005, 450, None),
    "tf2.x_slow": (50, 3512391, 2.95034e06, 2727568, 3189954, 109798, None),
    "litert_app": (25, 235158, 145528, 140071, 195121, 13583, 141253),
    "litert_native": (20, 171204, 90414.2, 88934, 95540, 1533, 90102),
}
NAMES = sorted(ASKED)
TEXTS = {name: (FOLDER / f"{name}.txt").read_text(encoding="utf-8") for name in NAMES}


def read(name, text):
    return parse(text.splitlines(), ASKED[name])


def refusal(name, text):
    with pytest.raises(OutputRefused) as refused:
        read(name, text)
    return refused.value.refusal


@pytest.mark.parametrize("name", NAMES)
def test_every_release_is_read(name):
    out = read(name, TEXTS[name])
    figures = (out.runs, out.first_us, out.mean_us, out.min_us, out.max_us, out.sd_us, out.median_us)
    assert figures == FIGURES[name]


@pytest.mark.parametrize("name", NAMES)
def test_every_shorter_text_is_refused_until_the_final_line_is_whole(name):
    text = TEXTS[name]
    final = re.search(r"[^\n]*nference timings[^\n]*\n", text)
    for end in range(final.end() - 1):
        assert not refusal(name, text[:end]).of_candidate


def mutate(rng, text, other):
    """Return the kind of damage, and *text* as a bad cable, a full log buffer or two writers would leave it."""
    lines = text.splitlines()
    one, two = sorted(rng.choices(range(len(text)), k=2))
    some, more = sorted(rng.choices(range(len(lines)), k=2))
    swapped = [*lines[:some], lines[more], *lines[some + 1 : more], lines[some], *lines[more + 1 :]]
    number = rng.choice(list(re.finditer(r"(?<==)[\d.e+]+|(?<=: )\d[\d.e+]*", text)))
    damages = {
        "cut": text[:one],
        "head lost": text[one:],
        "bytes lost": text[:one] + text[min(two, one + rng.randint(1, 9)) :],
        "lines lost": "\n".join(lines[:some] + lines[more:]),
        "lines doubled": "\n".join(lines[:more] + lines[some:]),
        "lines swapped": "\n".join(swapped),
        "lines glued": "\n".join([*lines[:some], lines[some] + lines[more], *lines[some + 1 :]]),
        "two writers": text[:one] + other[rng.randrange(len(other)) :],
        "no number": text[: number.start()] + rng.choice(["nan", "-nan", "inf", "0", "", "-5"]) + text[number.end() :],
    }
    kind = rng.choice(list(damages))
    return kind, damages[kind]


@pytest.mark.parametrize("name", NAMES)
def test_a_damaged_output_is_the_whole_truth_or_refused(name):
    """Nobody can tell two reports of one graph from each other once the head is gone; the driver's process id can."""
    whole, rng, refused = read(name, TEXTS[name]), random.Random(name), 0
    for _ in range(1500):
        other = rng.choice(NAMES)
        kind, damaged = mutate(rng, TEXTS[name], TEXTS[other])
        try:
            out = read(name, damaged)
        except OutputRefused:
            refused += 1
        else:
            truths = [whole, read(other, TEXTS[other])] if kind == "two writers" else [whole]
            assert out in truths, damaged
    assert refused > 750


def test_changed_digits_are_reported_only_as_they_stand():
    rng = random.Random(0)
    for _ in range(3000):
        name = rng.choice(NAMES)
        text = TEXTS[name]
        place = rng.choice([found.start() for found in re.finditer(r"\d", text)])
        changed = text[:place] + rng.choice("0123456789") + text[place + 1 :]
        try:
            out = read(name, changed)
        except OutputRefused:
            continue
        standing = {float(number) for number in re.findall(r"(?<=[= ])\d[\d.]*(?:e[+-]?\d+)?", changed)}
        assert {out.mean_us, out.min_us, out.max_us, out.sd_us, out.first_us, float(out.runs)} <= standing


@pytest.mark.parametrize(
    ("pattern", "replacement", "expected"),
    [
        (r"count=20 .*", "count=0 p5=0 median=0 p95=0", Refusal.NO_DATA),
        (r"count=20 .*", "count=20 curr=90414(all same)", Refusal.ALL_SAME),
        (r"count=20 .*", "count=20 curr=90414 (all same) p5=90414 median=90414 p95=90414", Refusal.ALL_SAME),
        (r"count=20", "count=19", Refusal.WRONG_COUNT),
        (r"count=20", "count=21", Refusal.WRONG_COUNT),
        (r"std=1533", "std=nan", Refusal.NOT_A_NUMBER),
        (r"std=1533", "std=inf", Refusal.NOT_A_NUMBER),
        (r"min=88934", "min=0", Refusal.NOT_A_NUMBER),
        (r"min=88934", "min=8.9.3", Refusal.NOT_A_NUMBER),
        (r"median=90102", "median=99999", Refusal.CONTRADICTORY),
        (r"avg=90414.2", "avg=90414.3", Refusal.CONTRADICTORY),
        (r"Init: 41203", "Init: 4120", Refusal.CONTRADICTORY),
        (r"First inference: 171204", "First inference: 0", Refusal.CONTRADICTORY),
        (r"Num threads: \[1\]", "Num threads: [4]", Refusal.WRONG_ARGUMENTS),
        (r"Graph: \[.*\]", "Graph: [/other.tflite]", Refusal.WRONG_ARGUMENTS),
        (r"Graph: \[.*\]", "", Refusal.TRUNCATED),
        (r"at least 20 iterations", "at least 50 iterations", Refusal.WRONG_ARGUMENTS),
        (r"INFO: Loaded model", "ERROR: Unconsumed cmdline flags: --num-runs=20\nINFO: ", Refusal.WRONG_ARGUMENTS),
        (r"INFO: Loaded model .*", "ERROR: Failed to load model x.tflite", Refusal.NOT_LOADED),
        (r"INFO: Loaded model .*", "ERROR: Could not open 'x'.\nERROR: Failed to load model x", Refusal.NO_FILE),
        (r"INFO: Explicitly .*", "ERROR: Failed to allocate tensors!", Refusal.NOT_LOADED),
        (r"INFO: Explicitly .*", "ERROR: Encountered unresolved custom op: Foo.", Refusal.NOT_LOADED),
        (r"INFO: count=20 .*", "ERROR: Failed to invoke!\nBenchmarking failed.", Refusal.NOT_RUN),
    ],
)
def test_what_is_no_result_is_refused_with_its_reason(pattern, replacement, expected):
    text, times = re.subn(pattern, replacement, TEXTS["litert_native"], count=1)
    assert times == 1
    assert refusal("litert_native", text) is expected


def test_one_run_is_a_result():
    text = re.sub(r"count=20 .*", "count=1 curr=90414 p5=90414 median=90414 p95=90414", TEXTS["litert_native"])
    text = text.replace("at least 20", "at least 1").replace("runs: [20]", "runs: [1]").replace("90414.2", "90414")
    out = parse(text.splitlines(), replace(ASKED["litert_native"], runs=1))
    assert (out.runs, out.mean_us, out.min_us, out.max_us, out.sd_us) == (1, 90414, 90414, 90414, 0)


@pytest.mark.parametrize("reason", Refusal)
def test_only_the_networks_own_failures_are_its_fault(reason):
    assert reason.of_candidate == (reason in {Refusal.NOT_LOADED, Refusal.NOT_RUN})


def test_the_end_is_seen():
    lines = TEXTS["litert_native"].splitlines()
    assert [line for line in lines if is_over(line)] == [line for line in lines if "Inference timings" in line]
    assert is_over("ERROR: Failed to load model x")


def test_arguments_are_one_string_without_quotes():
    asked = Invocation("/data/local/tmp/ferlab/0f.tflite", threads=4, runs=20, warmup_runs=2)
    assert asked.arguments() == (
        "--graph=/data/local/tmp/ferlab/0f.tflite --num_threads=4 --num_runs=20 --min_secs=0 --max_secs=150"
        " --warmup_runs=2 --warmup_min_secs=0 --use_xnnpack=true"
    )
