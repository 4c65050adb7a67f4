"""How well latency is predicted from operators after 50 measurements on the simulated phone, and what that is good for.

    python benchmarks/latency_predictor.py [--seeds 200] [--measured 50]
    python benchmarks/latency_predictor.py --record 260        # makes the data anew: about 40 minutes

The data (benchmarks/data/latency_predictor.jsonl) are candidates drawn by chance from the space of examples/cafe.toml,
with smaller inputs too: five networks, 48 to 224 px, channels pruned or not, four quantizations. Each was exported
untrained, and its graph measured by the embedded lab on two simulated Moto G6 with 1, 2 and 4 threads.

Each seed draws a number of threads for each graph, 50 graphs to learn from, and predicts the others. In the same run:

* latency proportional to multiply-accumulates, with the best constant for each number of threads;
* use (a), candidates skipped: of those over a bound and of those within it, at three bounds;
* use (c), implausible readings: one of the 50 wrong by a factor, and none wrong;
* a network that none of the measured has: outside of what the interval promises, and told for that;
* the sketch that ``fer-search plan`` looks at, as it is and after learning from the same 50.

Goals: error <= 10 %, Spearman >= 0.95, the 90 % interval holds 87 to 93 %.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

from fer_core.specs import ArchitectureSpec, CompressionSpec, DeploymentSpec, TrainingSpec
from search.candidate import Candidate
from search.foresight import implausible
from search.prediction import Example, Predictor, features_of
from search.sketch import outlined, sketch

HERE = Path(__file__).resolve().parent
DATA = HERE / "data" / "latency_predictor.jsonl"
THREADS = (1, 2, 4)
SIZES = (48, 64, 96, 128, 160, 224)
Floats = NDArray[np.float64]


class Pool(NamedTuple):
    """One number of threads for each graph: features (n, 11), of the sketch too, ms measured and sketched (n,)."""

    networks: NDArray[np.str_]
    features: Floats
    sketched_features: Floats
    measured: Floats
    sketched: Floats

    def examples(self, rows: NDArray[np.int64], *, of_sketches: bool = False) -> list[Example]:
        """Return *rows* as a predictor learns them."""
        features = self.sketched_features if of_sketches else self.features
        return [Example(features=tuple(features[row]), median_ms=float(self.measured[row])) for row in rows]


class Graphs:
    """What was recorded, and the sketch of each candidate."""

    def __init__(self, path: Path) -> None:
        self._rows = [json.loads(line) for line in path.read_text().splitlines()]
        self._sketches = [[self._sketch(row, threads) for threads in THREADS] for row in self._rows]

    def __len__(self) -> int:
        return len(self._rows)

    def drawn(self, rng: np.random.Generator) -> Pool:
        """Return the pool with a number of threads by chance for each graph."""
        places = rng.integers(len(THREADS), size=len(self._rows))
        chosen = list(zip(self._rows, self._sketches, places.tolist(), strict=True))
        return Pool(
            networks=np.array([row["architecture"] for row in self._rows]),
            features=np.array([[*row["features"], THREADS[place]] for row, _, place in chosen]),
            sketched_features=np.array([found[place][1] for _, found, place in chosen]),
            measured=np.array([row["median_ms"][place] for row, _, place in chosen]),
            sketched=np.array([found[place][0] for _, found, place in chosen]),
        )

    @staticmethod
    def _sketch(row: dict[str, Any], threads: int) -> tuple[float, tuple[float, ...]]:
        candidate = Candidate(
            architecture=ArchitectureSpec(name=row["architecture"], input_size=row["input_size"]),
            training=TrainingSpec(),
            compression=CompressionSpec(**row["compression"]),
            deployment=DeploymentSpec(threads=threads),
        )
        return sketch(candidate).latency_ms, features_of(outlined(candidate), threads)


def forecasts(predictor: Predictor, features: Floats, level: float) -> Floats:
    """Return median, low and high (n, 3)."""
    found = predictor.predict(features.tolist(), level)
    return np.array([[one.median_ms, one.low_ms, one.high_ms] for one in found])


def error(predicted: Floats, measured: Floats) -> float:
    """Return the mean absolute relative error."""
    return float(np.mean(np.abs(predicted / measured - 1)))


def proportional(pool: Pool, known: NDArray[np.int64], others: NDArray[np.int64]) -> Floats:
    """Return ms in proportion to multiply-accumulates, with the median ratio of the *known* rows of equal threads."""
    macs, threads = pool.features[:, :8].sum(axis=1), pool.features[:, 10]
    ratio = pool.measured / macs
    constants = {count: np.median(ratio[known][threads[known] == count]) for count in np.unique(threads[known])}
    fallback = np.median(ratio[known])
    return np.asarray(macs[others] * np.array([constants.get(count, fallback) for count in threads[others]]))


def accuracy(pool: Pool, known: NDArray[np.int64], others: NDArray[np.int64]) -> dict[str, float]:
    """Return error, rank correlation, coverage and width of the 90 % interval, and the same of proportionality."""
    predictor = Predictor.of(pool.examples(known))
    median, low, high = forecasts(predictor, pool.features[others], 0.9).T
    truth, simple = pool.measured[others], proportional(pool, known, others)
    return {
        "error": error(median, truth),
        "spearman": float(spearmanr(median, truth).statistic),
        "coverage": float(np.mean((low <= truth) & (truth <= high))),
        "width": float(np.median(high / low)),
        "macs: error": error(simple, truth),
        "macs: spearman": float(spearmanr(simple, truth).statistic),
    }


def skipping(pool: Pool, known: NDArray[np.int64], others: NDArray[np.int64]) -> dict[str, float]:
    """Return which share of *others* over a bound, and within it, is skipped; the bound is a quantile of all."""
    low = forecasts(Predictor.of(pool.examples(known)), pool.features[others], 0.95)[:, 1]
    found = {}
    for quantile in (0.25, 0.5, 0.75):
        bound = float(np.quantile(pool.measured, quantile))
        over = pool.measured[others] > bound
        found[f"over, skipped, {quantile:.0%} feasible"] = float(np.mean(low[over] > bound))
        found[f"feasible, lost, {quantile:.0%} feasible"] = float(np.mean(low[~over] > bound))
    return found


def flagging(pool: Pool, known: NDArray[np.int64], rng: np.random.Generator) -> dict[str, float]:
    """Return whether one wrong reading among *known* is flagged, and which share of right ones is."""
    examples = pool.examples(known)
    found = {"right, flagged": len(implausible(examples)) / len(examples)}
    place = int(rng.integers(len(examples)))
    for factor in (1.3, 1.5, 2.0, 1 / 1.5):
        wrong = examples[place].model_copy(update={"median_ms": examples[place].median_ms * factor})
        flagged = [one for one, _ in implausible([*examples[:place], wrong, *examples[place + 1 :]])]
        found[f"wrong by {factor:.2f}, flagged"] = float(wrong in flagged)
        found[f"beside it, flagged, {factor:.2f}"] = len([one for one in flagged if one != wrong]) / len(examples)
    return found


def strangers(pool: Pool, count: int, rng: np.random.Generator) -> dict[str, float]:
    """Return error, coverage, and share of feasible that are lost (bound: the network's median) for each network.

    Known are *count* graphs of the other four.
    """
    found = {}
    for network in np.unique(pool.networks):
        known = rng.permutation(np.flatnonzero(pool.networks != network))[:count]
        others = np.flatnonzero(pool.networks == network)
        predictor, truth = Predictor.of(pool.examples(known)), pool.measured[others]
        median, low, high = forecasts(predictor, pool.features[others], 0.9).T
        bound = float(np.median(truth))
        surely_over = forecasts(predictor, pool.features[others], 0.95)[:, 1] > bound
        found[f"{network}: error"] = error(median, truth)
        found[f"{network}: coverage"] = float(np.mean((low <= truth) & (truth <= high)))
        found[f"{network}: feasible, lost"] = float(np.mean(surely_over[truth <= bound]))
    return found


def sketches(pool: Pool, known: NDArray[np.int64], others: NDArray[np.int64]) -> dict[str, float]:
    """Return how far nine in ten sketches are from what was measured at most, as they are and after learning."""
    predictor = Predictor.of(pool.examples(known, of_sketches=True))
    learnt = forecasts(predictor, pool.sketched_features[others], 0.9)[:, 0]
    truth = pool.measured[others]
    return {
        "as it is": float(np.quantile(np.abs(pool.sketched[others] / truth - 1), 0.9)),
        "after learning": float(np.quantile(np.abs(learnt / truth - 1), 0.9)),
    }


def told(title: str, rows: Sequence[dict[str, float]]) -> None:
    """Print mean, least and most of each number over *rows*."""
    print(f"\n{title}\n{'':40} {'mean':>8} {'least':>8} {'most':>8}")
    for name in rows[0]:
        values = [row[name] for row in rows]
        print(f"{name:40} {np.mean(values):8.3f} {np.min(values):8.3f} {np.max(values):8.3f}")


def seconds(pool: Pool) -> None:
    """Print what learning and predicting take."""
    for count in (50, 150, len(pool.measured)):
        examples = pool.examples(np.arange(count))
        begun = time.process_time()
        predictor = Predictor.of(examples)
        learnt = time.process_time()
        predictor.predict(pool.features[:1].tolist())
        ended = time.process_time()
        print(f"{count} measurements: {learnt - begun:.2f} CPU s to learn, {1e3 * (ended - learnt):.1f} ms to predict")


def record(count: int, path: Path) -> Iterator[dict[str, Any]]:
    """Export and measure *count* different graphs of the space; *path* is a folder for files."""
    from devicelab.config import LabConfig
    from devicelab.graph import read_graph
    from devicelab.lab import Lab
    from devicelab.measurement import Workload
    from search.config import StudyConfig
    from search.space import Drawn, suggest
    from search.stages import Workbench

    config = StudyConfig.load(HERE.parent / "examples" / "cafe.toml")
    space = config.space.model_copy(update={"input_size": SIZES, "pruning": ("none", "structured")})
    config = config.model_copy(update={"space": space})
    rng, seen = np.random.default_rng(7), set[tuple[str, int, str]]()
    with (
        Lab(LabConfig.simulated(2, seed=0), path / "lab.db") as lab,
        Workbench(config, path / "artifacts", path / "cache", lab.measure) as bench,
    ):
        while len(seen) < count:
            candidate = suggest(Drawn(rng), config)
            architecture, compression = candidate.architecture, candidate.compression.of_graph
            key = (architecture.name, architecture.input_size, compression.model_dump_json())
            if key in seen:
                continue
            seen.add(key)
            file = bench.draft(architecture, compression).path
            yield {
                "architecture": architecture.name,
                "input_size": architecture.input_size,
                "compression": compression.model_dump(mode="json"),
                "features": features_of(read_graph(file).operators, 1)[:-1],
                "median_ms": [lab.measure(Workload.of(file, threads)).median_ms for threads in THREADS],
            }


def main() -> None:
    """Record the data, or run the benchmark on them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=200)
    parser.add_argument("--measured", type=int, default=50)
    parser.add_argument("--record", type=int, metavar="GRAPHS")
    parser.add_argument("--work", type=Path, help="keep exported files here while recording")
    arguments = parser.parse_args()
    if arguments.record:
        with tempfile.TemporaryDirectory() as temporary, DATA.open("w") as stream:
            for row in record(arguments.record, arguments.work or Path(temporary)):
                stream.write(json.dumps(row) + "\n")
                stream.flush()
        return
    graphs = Graphs(DATA)
    found: dict[str, list[dict[str, float]]] = {}
    for seed in range(arguments.seeds):
        rng = np.random.default_rng(seed)
        pool = graphs.drawn(rng)
        order = rng.permutation(len(graphs))
        known, others = order[: arguments.measured], order[arguments.measured :]
        found.setdefault("held-out graphs", []).append(accuracy(pool, known, others))
        found.setdefault("skipping below the 95 % interval", []).append(skipping(pool, known, others))
        found.setdefault("sketches: nine in ten are off by less than", []).append(sketches(pool, known, others))
        if seed < arguments.seeds // 4:
            found.setdefault("implausible readings", []).append(flagging(pool, known, rng))
            unknown = strangers(pool, arguments.measured, rng)
            found.setdefault("a network that was never measured", []).append(unknown)
    print(f"{len(graphs)} graphs, {arguments.measured} measured, {arguments.seeds} seeds (simulated phones)")
    for title, rows in found.items():
        told(f"{title} ({len(rows)} seeds)", rows)
    print()
    seconds(graphs.drawn(np.random.default_rng(0)))


if __name__ == "__main__":
    main()
