"""The loop learns, repeats itself bit for bit, and says when it cannot go on."""

import itertools

import numpy as np
import pytest
import torch
from torch import nn

from fer_core.batches import to_input
from fer_core.errors import ConfigError, DataError, DivergedError
from fer_core.models.build import build
from fer_core.specs import ArchitectureSpec, TrainingSpec
from fer_core.training import WARM_UP, Course, fine_tune, fit, pace, recalibrate, validate

SPEC = TrainingSpec(epochs=3, batch_size=16, learning_rate=2e-3, augmentation="light")


class Tiny(nn.Module):
    """Convolution, batch norm, dropout: everything that a resumed training could get wrong."""

    def __init__(self):
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.conv = nn.Conv2d(3, 16, 5, stride=2)
            self.norm = nn.BatchNorm2d(16)
            self.drop = nn.Dropout(0.1)
            self.classifier = nn.Linear(16 * 9, 7)

    def forward(self, x):
        x = nn.functional.adaptive_avg_pool2d(torch.relu(self.norm(self.conv(x))), 3)
        return self.classifier(self.drop(x.flatten(1)))


def same_weights(first, second):
    return all(
        torch.equal(a, b) for a, b in zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    )


def test_learns_and_reports_each_epoch(faces):
    spec = SPEC.model_copy(update={"epochs": 8, "learning_rate": 2e-2, "augmentation": "none"})
    ticks = itertools.count()
    reports = list(fit(Tiny(), faces(210), faces(70, seed=1), spec, clock=lambda: float(next(ticks))))
    assert [report.epoch for report in reports] == list(range(1, 9))
    assert {report.epochs for report in reports} == {8}
    assert {report.seconds for report in reports} == {1.0}
    assert reports[-1].train_loss < reports[0].train_loss
    assert reports[-1].val_f1 > 0.8
    assert reports[-1].val_accuracy > 0.8


def test_the_seed_decides_and_other_chance_does_not_interfere(faces):
    train, validation = faces(64), faces(14, seed=1)
    models = [Tiny() for _ in range(3)]
    for model, seed in zip(models, (5, 5, 6), strict=True):
        for _ in fit(model, train, validation, SPEC.model_copy(update={"seed": seed})):
            torch.rand(3)  # somebody else draws between epochs
    assert same_weights(models[0], models[1])
    assert not same_weights(models[0], models[2])


EVERYTHING = SPEC.model_copy(update={"ema_decay": 0.9, "mixing": "cutmix", "augmentation": "strong"})


@pytest.mark.parametrize(("done", "recipe"), [(1, SPEC), (2, SPEC), (3, SPEC), (1, EVERYTHING), (2, EVERYTHING)])
def test_goes_on_from_a_checkpoint_bit_for_bit(faces, tmp_path, done, recipe):
    train, validation, path = faces(64), faces(14, seed=1), tmp_path / "state.pth"
    straight, interrupted, resumed = Tiny(), Tiny(), Tiny()
    expected = list(fit(straight, train, validation, recipe))
    running = fit(interrupted, train, validation, recipe, checkpoint=path)
    for _ in range(done):
        next(running)
    running.close()
    got = list(fit(resumed, train, validation, recipe, checkpoint=path))
    assert same_weights(straight, resumed)
    assert [(r.epoch, r.train_loss, r.val_f1) for r in got] == [(r.epoch, r.train_loss, r.val_f1) for r in expected]
    assert [file.name for file in tmp_path.iterdir()] == ["state.pth"]


def test_a_broken_checkpoint_is_a_fresh_start(faces, tmp_path, caplog):
    path = tmp_path / "state.pth"
    path.write_bytes(b"half a file")
    straight, again = Tiny(), Tiny()
    list(fit(straight, faces(32), faces(14, seed=1), SPEC))
    list(fit(again, faces(32), faces(14, seed=1), SPEC, checkpoint=path))
    assert same_weights(straight, again)
    assert "starts again" in caplog.text


def test_refuses_the_checkpoint_of_something_else(faces, tmp_path):
    path, train, validation = tmp_path / "state.pth", faces(32), faces(14, seed=1)
    next(fit(Tiny(), train, validation, SPEC, checkpoint=path))
    for other in (SPEC.model_copy(update={"seed": 9}), SPEC.model_copy(update={"epochs": 4})):
        with pytest.raises(ConfigError, match="another training"):
            next(fit(Tiny(), train, validation, other, checkpoint=path))
    with pytest.raises(ConfigError, match="another training"):
        next(fit(Tiny(), faces(33), validation, SPEC, checkpoint=path))
    network = nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 7))
    with pytest.raises(ConfigError, match="another network"):
        next(fit(network, train, validation, SPEC, checkpoint=path))


def test_says_when_it_diverges(faces):
    model = Tiny()
    model.classifier.bias.data[0] = float("nan")
    with pytest.raises(DivergedError, match=r"epoch 1, step 1: lower learning_rate"):
        next(fit(model, faces(32), faces(14, seed=1), SPEC))


def test_refuses_sets_that_cannot_be_trained_on(faces):
    with pytest.raises(DataError, match="two images"):
        next(fit(Tiny(), faces(1), faces(14), SPEC))
    with pytest.raises(DataError, match="validation"):
        next(fit(Tiny(), faces(32), faces(0), SPEC))


def test_a_set_smaller_than_a_batch_is_one_batch(faces):
    report = next(fit(Tiny(), faces(5), faces(7, seed=1), SPEC.model_copy(update={"batch_size": 512})))
    assert np.isfinite(report.train_loss)


def test_the_rate_rises_linearly_and_falls_along_a_cosine():
    rates, rise = [pace(step, 100) for step in range(100)], round(100 * WARM_UP)
    assert rates[:rise] == pytest.approx([(step + 1) / rise for step in range(rise)])
    assert max(rates) == rates[rise - 1] == 1
    assert rates[(100 + rise) // 2 - 1] == pytest.approx(0.5, abs=0.02)
    assert all(a > b > 0 for a, b in itertools.pairwise(rates[rise - 1 :]))
    assert pace(0, 1) == 1


def test_recalibration_gives_batch_norm_the_statistics_of_the_set(faces):
    train = faces(64)
    norm = nn.BatchNorm2d(3)
    norm.running_mean.fill_(9.0)
    recalibrate(nn.Sequential(norm), train, batch_size=16)
    pixels = train.images / 127.5 - 1
    np.testing.assert_allclose(norm.running_mean.numpy(), pixels.mean((0, 1, 2)), atol=1e-5)
    np.testing.assert_allclose(norm.running_var.numpy(), pixels.var((0, 1, 2)), rtol=1e-2)
    assert norm.momentum == 0.1
    assert not norm.training


def test_validation_counts_what_was_right(faces):
    class Oracle(nn.Module):
        """Knows the label from the first pixel."""

        def forward(self, x):
            return nn.functional.one_hot(((x[:, 0, 0, 0] + 1) * 127.5).round().long(), 7).float()

    train = faces(70)
    images = train.images.copy()
    images[:, 0, 0, 0] = train.labels
    perfect = type(train)(**{**vars(train), "images": images})
    assert validate(Oracle(), perfect) == (1.0, 1.0)
    images[train.labels == 0, 0, 0, 0] = 1  # every anger is taken for disgust
    f1, accuracy = validate(Oracle(), perfect)
    assert accuracy == pytest.approx(6 / 7)
    assert f1 == pytest.approx((5 + 2 / 3 + 0) / 7)


def test_dropout_and_augmentation_do_not_touch_the_global_generator(faces):
    torch.manual_seed(4)
    before = torch.random.get_rng_state()
    next(fit(build(ArchitectureSpec(name="mobilenetv3_small_100", input_size=32)), faces(16), faces(7), SPEC))
    assert torch.equal(torch.random.get_rng_state(), before)


def test_the_average_follows_the_learner_and_is_what_the_caller_gets(faces):
    train, validation = faces(64), faces(14, seed=1)
    plain, averaged = Tiny(), Tiny()
    list(fit(plain, train, validation, SPEC))
    course = Course(averaged, train, SPEC.model_copy(update={"ema_decay": 0.8}))
    steps = []
    course.before_step = lambda _: steps.append([p.detach().clone() for p in course.learner.parameters()])
    for epoch in (1, 2, 3):
        course.run(epoch)
    assert all(torch.equal(a, b) for a, b in zip(course.learner.parameters(), plain.parameters(), strict=True))
    weights = [*(states[0] for states in steps[1:]), next(course.learner.parameters()).detach()]
    mean = steps[0][0]
    for done, current in enumerate(weights):
        decay = min(0.8, (1 + done) / (10 + done))
        mean = decay * mean + (1 - decay) * current
    torch.testing.assert_close(next(averaged.parameters()).detach(), mean)
    assert not averaged.training


def test_a_schedule_is_that_of_all_epochs_wherever_training_stops(faces):
    """Early stopping cuts a training short; what was done until then must not depend on where."""
    train, validation = faces(64), faces(14, seed=1)
    whole, cut = Tiny(), Tiny()
    running, stopped = fit(whole, train, validation, SPEC), fit(cut, train, validation, SPEC)
    for training in (running, stopped):
        next(training)
        next(training)
    stopped.close()
    assert same_weights(whole, cut)


def test_fine_tuning_tells_before_each_step_how_far_it_is(faces):
    told = []
    fine_tune(Tiny(), faces(64), SPEC.model_copy(update={"epochs": 2}), before_step=told.append)
    assert told == pytest.approx([step / 8 for step in range(8)])


def test_a_teacher_pulls_the_student_towards_its_opinion(faces, tmp_path):
    name, path = "mobilenetv3_small_100", tmp_path / "teacher.pth"
    teacher = build(ArchitectureSpec(name=name, input_size=32), seed=3).eval()
    teacher.classifier.bias.data = torch.tensor([0.0, 0, 0, 9, 0, 0, 0])  # happiness, whatever it sees
    torch.save(teacher.state_dict(), path)
    train = faces(70)
    spec = SPEC.model_copy(update={"epochs": 6, "learning_rate": 2e-2, "augmentation": "none"})
    taught = spec.model_copy(update={"teacher": name, "teacher_weights": str(path)})
    shares = []
    for recipe in (spec, taught):
        model = Tiny()
        list(fit(model, train, faces(14, seed=1), recipe))
        with torch.inference_mode():
            shares.append(float(model(to_input(train.images)).softmax(1)[:, 3].mean()))
    assert shares[1] > shares[0] + 0.2


def test_a_teacher_of_other_classes_is_refused(faces, tmp_path):
    path = tmp_path / "teacher.pth"
    torch.save(build(ArchitectureSpec(name="mobilenetv3_small_100"), num_classes=10).state_dict(), path)
    taught = SPEC.model_copy(update={"teacher": "mobilenetv3_small_100", "teacher_weights": str(path)})
    with pytest.raises(ConfigError, match=r"classifier\.weight has shape \(10, 1024\)"):
        next(fit(Tiny(), faces(32), faces(14, seed=1), taught))
