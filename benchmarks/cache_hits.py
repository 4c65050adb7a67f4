"""Whether the fingerprint of a graph finds what is equal and only that, and how many phone jobs it saves.

    python benchmarks/cache_hits.py MODEL.tflite [MODEL.tflite ...] [--mutants 10000] [--trials 300]

1. Equal graphs: each file again with its tensors renumbered, its independent operators in another order, and other
   weights. Goal: all have the fingerprint of the file.
2. Mutated graphs: one operator, option, shape, element type or connection of a file changed at random, after the
   reader and before the fingerprint. Goal: none has the fingerprint of its file.
3. Phone jobs of a search over the space of examples/cafe.toml: trials of a study, proposals at random, against
   different (untrained graph, threads). Counted by the inputs of the untrained export, so graphs that agree beyond that
   (ratios that round to the same channels) are not counted as saved: at least so many. Goal: 60 %. Then the same with
   what the paper varied only: networks, populations, pruning by masks, clusters and numerics, at 224 pixels and one
   thread. How much is saved is a matter of how many graphs a space has against trials.
"""

import argparse
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import optuna

from devicelab.errors import WorkloadError
from devicelab.flatfile import FileGraph, FileOperator, read_file
from devicelab.graph import graph_of
from search.candidate import digest_of
from search.config import StudyConfig
from search.space import suggest

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
COPIES = 20
type Change = Callable[[FileGraph, np.random.Generator], FileGraph]


def equal(file: FileGraph, rng: np.random.Generator) -> FileGraph:
    """Return *file* written otherwise: tensors renumbered, operators in another valid order, other weights."""
    places = [int(place) for place in rng.permutation(len(file.tensors))]
    tensors = list(file.tensors)
    for old, new in enumerate(places):
        tensor = file.tensors[old]
        is_weight = tensor.dtype in {"FLOAT32", "FLOAT16", "INT8"} and tensor.data is not None
        tensors[new] = replace(tensor, data=rng.bytes(len(tensor.data or b""))) if is_weight else tensor

    def moved(indices: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(index if index < 0 else places[index] for index in indices)

    operators = [replace(one, inputs=moved(one.inputs), outputs=moved(one.outputs)) for one in file.operators]
    return replace(
        file,
        tensors=tuple(tensors),
        operators=tuple(reordered(operators, rng)),
        inputs=moved(file.inputs),
        outputs=moved(file.outputs),
    )


def reordered(operators: list[FileOperator], rng: np.random.Generator) -> list[FileOperator]:
    """Return *operators* in a random order in which each stands behind those that it reads from."""
    writer = {index: place for place, one in enumerate(operators) for index in one.outputs}
    needs = [{writer[index] for index in one.inputs if index in writer} for one in operators]
    left, order = set(range(len(operators))), []
    while left:
        ready = sorted(place for place in left if not needs[place] & left)
        place = ready[int(rng.integers(len(ready)))]
        left.remove(place)
        order.append(operators[place])
    return order


def other_operator(file: FileGraph, rng: np.random.Generator) -> FileGraph:
    """Give an operator another code."""
    place = int(rng.integers(len(file.operators)))
    code = "RELU" if file.operators[place].code != "RELU" else "TANH"
    return _with_operator(file, place, replace(file.operators[place], code=code))


def other_option(file: FileGraph, rng: np.random.Generator) -> FileGraph:
    """Change a number among the options of an operator."""
    numbers = [
        (place, which)
        for place, one in enumerate(file.operators)
        for which, (_, value) in enumerate(one.options)
        if isinstance(value, int) and not isinstance(value, bool)
    ]
    place, which = numbers[int(rng.integers(len(numbers)))]
    options = list(file.operators[place].options)
    name, value = options[which]
    options[which] = (name, int(str(value)) + 1)
    return _with_operator(file, place, replace(file.operators[place], options=tuple(options)))


def other_shape(file: FileGraph, rng: np.random.Generator) -> FileGraph:
    """Make a result of an operator larger by one in its last dimension."""
    index = _result(file, rng)
    shape = file.tensors[index].shape
    return _with_tensor(file, index, shape=(*shape[:-1], shape[-1] + 1) if shape else (2,))


def other_type(file: FileGraph, rng: np.random.Generator) -> FileGraph:
    """Give a result of an operator another element type."""
    index = _result(file, rng)
    return _with_tensor(file, index, dtype="INT16" if file.tensors[index].dtype != "INT16" else "FLOAT32")


def other_connection(file: FileGraph, rng: np.random.Generator) -> FileGraph:
    """Let an operator read another earlier result."""
    while True:
        place = int(rng.integers(1, len(file.operators)))
        operator = file.operators[place]
        earlier = [index for one in file.operators[:place] for index in one.outputs]
        which = [at for at, index in enumerate(operator.inputs) if index in earlier]
        others = [index for index in earlier if index not in operator.inputs]
        if which and others:
            inputs = list(operator.inputs)
            inputs[which[0]] = others[int(rng.integers(len(others)))]
            return _with_operator(file, place, replace(operator, inputs=tuple(inputs)))


CHANGES: tuple[Change, ...] = (other_operator, other_option, other_shape, other_type, other_connection)


def _result(file: FileGraph, rng: np.random.Generator) -> int:
    results = [index for one in file.operators for index in one.outputs]
    return results[int(rng.integers(len(results)))]


def _with_operator(file: FileGraph, place: int, operator: FileOperator) -> FileGraph:
    return replace(file, operators=(*file.operators[:place], operator, *file.operators[place + 1 :]))


def _with_tensor(
    file: FileGraph, index: int, *, shape: tuple[int, ...] | None = None, dtype: str | None = None
) -> FileGraph:
    old = file.tensors[index]
    tensor = replace(old, shape=old.shape if shape is None else shape, dtype=dtype or old.dtype)
    return replace(file, tensors=(*file.tensors[:index], tensor, *file.tensors[index + 1 :]))


def false_hits(files: list[FileGraph], mutants: int) -> tuple[dict[str, int], dict[str, int], int]:
    """Return, by kind of change, how many of *mutants* have their file's fingerprint and how many have not.

    The last number counts those that are refused as impossible graphs, which is no hit either.
    """
    rng = np.random.default_rng(0)
    own = [graph_of(file).fingerprint for file in files]
    hits, misses = (dict.fromkeys((change.__name__ for change in CHANGES), 0) for _ in range(2))
    refused = 0
    for number in range(mutants):
        which, change = number % len(files), CHANGES[number // len(files) % len(CHANGES)]
        try:
            found = graph_of(change(files[which], rng)).fingerprint == own[which]
        except WorkloadError:
            refused += 1
            continue
        (hits if found else misses)[change.__name__] += 1
    return hits, misses, refused


def phone_jobs(config: StudyConfig, trials: int) -> int:
    """Return how many different (untrained export, threads) the first *trials* random proposals have."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    jobs = set()
    for _ in range(trials):
        one = suggest(study.ask(), config)
        architecture = one.architecture.model_copy(update={"weights": "none"})
        jobs.add(digest_of(architecture, one.compression.of_graph, one.deployment))
    return len(jobs)


def as_the_paper(config: StudyConfig) -> StudyConfig:
    """Return *config* with the keys fixed that the paper did not vary."""
    fixed = {"input_size": (224,), "threads": (1,), "pruning": ("none", "magnitude")}
    return config.model_copy(update={"space": config.space.model_copy(update=fixed)})


def main() -> None:
    """Print the three figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", type=Path, nargs="+", help=".tflite files, an exported study's for example")
    parser.add_argument("--mutants", type=int, default=10_000)
    parser.add_argument("--trials", type=int, nargs="*", default=[300, 1000, 3000])
    parser.add_argument(
        "--space", type=Path, default=EXAMPLES / "cafe.toml", help="the study whose space is drawn from"
    )
    arguments = parser.parse_args()
    files = [read_file(path) for path in arguments.models]
    rng = np.random.default_rng(0)
    same = [
        graph_of(equal(file, rng)).fingerprint == graph_of(file).fingerprint for file in files for _ in range(COPIES)
    ]
    print(f"equal graphs, {len(files)} files: {sum(same)} of {len(same)} found (goal: all)")
    hits, misses, refused = false_hits(files, arguments.mutants)
    print(f"{arguments.mutants:,} mutated graphs: {sum(hits.values())} false hits (goal 0), {refused} refused")
    for name, count in hits.items():
        print(f"    {name:18} {count} hits, {misses[name]} misses")
    config = StudyConfig.load(arguments.space)
    for name, one in {arguments.space.name: config, "what the paper varied": as_the_paper(config)}.items():
        for trials in arguments.trials:
            jobs = phone_jobs(one, trials)
            print(f"{trials:,} trials of {name}: {jobs} phone jobs at most, {1 - jobs / trials:.0%} avoided")


if __name__ == "__main__":
    main()
