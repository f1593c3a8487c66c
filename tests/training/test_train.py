"""Training runs: what they learn, keep and log, and that a run that goes on ends where it would."""

import json
import os
import signal
from dataclasses import replace

import numpy as np
import pytest

import refglow as rg
from refglow.training import train as training
from refglow.training.batches import Batches
from refglow.training.checkpoint import load_checkpoint
from refglow.training.data import open_data
from refglow.training.dequantize import bits_per_dim, dequantize
from refglow.training.divergence import DivergedError
from refglow.training.image_data import ArrayImages
from refglow.training.model import build_glow, distribution_of
from refglow.training.run_folder import RunFolder
from refglow.training.settings import Settings
from refglow.training.train import Schedule, train
from refglow.training.trainer import Trainer
from refglow.variable import adopt

TINY = dict(num_glow_blocks=2, num_steps_per_block=1, num_hidden=4, batch_size=5, warm_up_steps=3,
            learning_rate=0.01)
SCHEDULE = Schedule(16, checkpoint_every=4, test_every=6, sample_every=8, samples=2)


def images(count=22, seed=0):
    rng = np.random.default_rng(seed)
    return ArrayImages("noise", rng.integers(0, 256, (count, 4, 8, 1), dtype=np.uint8), 8)


def trainer_with(**settings):
    return Trainer(Settings(**TINY | settings), images(), images(9, 1))


def run(path, schedule=SCHEDULE, **settings):
    """A whole run; (the folder, what it returned)."""
    folder = RunFolder(path)
    folder.path.mkdir()
    return folder, train(trainer_with(**settings), folder, schedule)


def go_on(folder, schedule=SCHEDULE, **settings):
    """As a new process would."""
    trainer = trainer_with(**settings)
    trainer.restore(load_checkpoint(folder.checkpoint))
    folder.drop_after(trainer.step_count)
    return train(trainer, folder, schedule)


def log_of(folder):
    """The log without the times."""
    entries = [json.loads(line) for line in folder.log.read_text().splitlines()]
    return [{key: value for key, value in entry.items() if key != "seconds"} for entry in entries]


def assert_same_run(one, other):
    """Equal in every bit of the checkpoint, the model, the log and the samples."""
    a, b = load_checkpoint(one.checkpoint), load_checkpoint(other.checkpoint)
    assert (a.step, a.settings, a.random_state) == (b.step, b.settings, b.random_state)
    assert one.checkpoint.read_bytes() == other.checkpoint.read_bytes()
    assert one.model.read_bytes() == other.model.read_bytes()
    assert log_of(one) == log_of(other)
    pictures = sorted(file.name for file in one.path.glob("samples-*.png"))
    assert pictures == sorted(file.name for file in other.path.glob("samples-*.png"))
    for name in pictures:
        assert (one.path / name).read_bytes() == (other.path / name).read_bytes()


# ---- going on -----------------------------------------------------------------------------------

KINDS = {
    "adam": dict(),
    "adamw with all": dict(optimizer="adamw", average_decay=0.9, clip_norm=20.0,
                           memory="reversible", coupling="additive"),
    "adamax with all": dict(optimizer="adamax", average_decay=0.99, clip_norm=5.0,
                            memory="reversible", dtype="float64", n_bits=5),
    "average": dict(average_decay=0.5, memory="checkpoint")}


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_that_goes_on_ends_where_it_would(kind, tmp_path):
    whole, _ = run(tmp_path / "whole", **KINDS[kind])
    parts, _ = run(tmp_path / "parts", replace(SCHEDULE, steps=7), **KINDS[kind])
    go_on(parts, replace(SCHEDULE, steps=9), **KINDS[kind])
    go_on(parts, **KINDS[kind])
    # The first two parts looked at their last steps, too.
    extra = [entry for entry in log_of(parts)
             if "test_bits_per_dim" in entry and entry["step"] in (7, 9)]
    assert len(extra) == 2
    lines = [line for line in parts.log.read_text().splitlines()
             if not ("test_bits_per_dim" in line and json.loads(line)["step"] in (7, 9))]
    parts.log.write_text("\n".join(lines) + "\n")
    for step in (7, 9):
        parts.samples(step).unlink()
    assert_same_run(whole, parts)


def killed_after(monkeypatch, folder, steps, **settings):
    """A run whose process ends, without a word, in the middle of a step."""
    class Killed(BaseException):
        pass

    update = Trainer.update

    def dying(self, evaluation):
        if self.step_count == steps:
            raise Killed
        return update(self, evaluation)
    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "update", dying)
        folder.path.mkdir()
        with pytest.raises(Killed):
            train(trainer_with(**settings), folder, SCHEDULE)


@pytest.mark.parametrize("steps", [0, 3, 4, 15])
def test_a_killed_run_goes_on(steps, tmp_path, monkeypatch):
    whole, _ = run(tmp_path / "whole")
    killed = RunFolder(tmp_path / "killed")
    killed_after(monkeypatch, killed, steps)
    assert load_checkpoint(killed.checkpoint).step == steps // 4 * 4
    if steps:
        with open(killed.log, "a") as file:
            file.write('{"step": 3, "loss": 17.2')  # killed while it was writing
    go_on(killed)
    assert_same_run(whole, killed)


def test_noise_that_is_carried_from_step_to_step_is_noticed(tmp_path, monkeypatch):
    """The planted bug: a generator that no checkpoint holds."""
    def carried(self, levels, stream, number):
        if not hasattr(self, "rng"):
            self.rng = np.random.default_rng(self._settings.seed)
        return dequantize(levels, self._train.n_bits, self.n_bits, self.rng,
                          self._settings.dtype)
    monkeypatch.setattr(Batches, "_dequantized", carried)
    whole, _ = run(tmp_path / "whole")
    again, _ = run(tmp_path / "again")
    assert_same_run(whole, again)
    killed = RunFolder(tmp_path / "killed")
    killed_after(monkeypatch, killed, 6)
    go_on(killed)
    with pytest.raises(AssertionError):
        assert_same_run(whole, killed)


def test_a_finished_run_stays_as_it_is(tmp_path):
    whole, first = run(tmp_path / "whole")
    before = {file.name: file.read_bytes() for file in whole.path.iterdir()}
    for steps in (16, 3):
        last = go_on(whole, replace(SCHEDULE, steps=steps))
        assert last == {"step": 16, "stopped": False}
        assert {file.name: file.read_bytes() for file in whole.path.iterdir()} == before
    assert first["step"] == 16 and not first["stopped"]


@pytest.mark.parametrize(("changes", "message"), [
    (dict(num_steps_per_block=2), "settings.num_steps_per_block: 1 in the checkpoint, 2 asked for"),
    (dict(num_hidden=5, seed=9), r"(?s)num_hidden: 4 in.*seed: 0 in the checkpoint, 9 asked for"),
    (dict(optimizer="adamw"), "settings.optimizer: 'adam' in the checkpoint, 'adamw' asked for"),
    (dict(average_decay=0.5), "average_decay: None in the checkpoint")])
def test_another_run_is_refused(changes, message):
    checkpoint = trainer_with().checkpoint()
    other = trainer_with(**changes)
    before = other.glow.state_dict()
    with pytest.raises(ValueError, match=message):
        other.restore(checkpoint)
    assert all(np.array_equal(before[name], array)
               for name, array in other.glow.state_dict().items())


@pytest.mark.parametrize(("data", "message"), [
    (images(21), "images.count: 22 in the checkpoint, 21 asked for"),
    (images(22, 5), "images.checksum: "),
    (ArrayImages("tall", np.zeros((22, 8, 4, 1), np.uint8) + np.arange(4, dtype=np.uint8)[:, None],
                 8), "images.image_shape: ")])
@pytest.mark.filterwarnings("ignore:ActivationNormalization")
def test_other_images_are_refused(data, message):
    checkpoint = trainer_with().checkpoint()
    with pytest.raises(ValueError, match=message):
        Trainer(Settings(**TINY), data, data).restore(checkpoint)


# ---- what a run does ----------------------------------------------------------------------------


def test_it_learns():
    train_data, test_data = open_data("digits")
    trainer = Trainer(Settings(num_steps_per_block=2, num_hidden=16, learning_rate=0.003,
                               warm_up_steps=10), train_data, test_data)
    before = trainer.test_bits_per_dim(200)
    for _ in range(40):
        trainer.step()
    after = trainer.test_bits_per_dim(200)
    assert before > 10 and after < before - 5
    assert after > 0


def test_the_log(tmp_path):
    folder, last = run(tmp_path / "run")
    log = [json.loads(line) for line in folder.log.read_text().splitlines()]
    steps = [entry for entry in log if "loss" in entry]
    assert [entry["step"] for entry in steps] == list(range(1, 17))
    assert [entry["step"] for entry in log if "test_bits_per_dim" in entry] == [6, 12, 16]
    trainer = trainer_with()
    x = trainer.batches.training(0)
    log_prob = distribution_of(trainer.glow).log_prob(x)
    assert steps[0]["loss"] == pytest.approx(-log_prob.mean(), rel=1e-6)
    assert steps[0]["bits_per_dim"] == pytest.approx(bits_per_dim(log_prob, 32, 8).mean(), rel=1e-6)
    assert [entry["learning_rate"] for entry in steps[:4]] == pytest.approx(
        [0.01 / 3, 0.02 / 3, 0.01, 0.01])
    assert all(entry["seconds"] > 0 and entry["gradient_norm"] > 0 for entry in steps)
    assert last == {**steps[-1], **log[-1], "stopped": False}
    assert sorted(file.name for file in folder.path.iterdir()) == [
        "checkpoint.safetensors", "log.jsonl", "loss.png", "model.safetensors",
        "samples-000008.png", "samples-000016.png"]


def test_the_gradient_is_that_of_the_loss():
    trainer = trainer_with(dtype="float64", coupling="additive")
    for _ in range(3):
        trainer.step()
    x, state = trainer.batches.training(7), trainer.glow.state_dict()
    _, gradients = trainer.loss_and_gradients(x)
    rng, step = np.random.default_rng(0), 1e-6
    way = {name: rng.normal(size=array.shape) for name, array in gradients.items()}
    losses = []
    for sign in (1, -1):
        trainer.glow.load_state_dict(state | {name: state[name] + sign * step * way[name]
                                              for name in way})
        losses.append(trainer.loss_and_gradients(x)[0])
    slope = sum(float((gradients[name] * way[name]).sum()) for name in way)
    assert (losses[0] - losses[1]) / (2 * step) == pytest.approx(slope, rel=1e-6)


def test_averaged_weights_are_what_is_evaluated(tmp_path):
    settings = dict(average_decay=0.9)
    folder, last = run(tmp_path / "run", **settings)
    checkpoint = load_checkpoint(folder.checkpoint)
    state = rg.load(folder.model).state_dict()
    assert set(checkpoint.average) < set(state)
    for name, array in state.items():
        expected = checkpoint.average.get(name, checkpoint.model[name])
        assert array.tobytes() == expected.tobytes()
    assert any(checkpoint.average[name].tobytes() != checkpoint.model[name].tobytes()
               for name in checkpoint.average)
    glow = build_glow(Settings(**TINY), (4, 8, 1))
    glow.load_state_dict({**checkpoint.model, **checkpoint.average})
    log_probs = [distribution_of(glow).log_prob(x) for x in trainer_with().batches.testing()]
    expected = bits_per_dim(np.concatenate(log_probs), 32, 8).mean()
    assert last["test_bits_per_dim"] == pytest.approx(expected, rel=1e-6)
    plain, without = run(tmp_path / "plain")
    assert without["test_bits_per_dim"] != pytest.approx(expected, rel=1e-3)
    assert without["loss"] == last["loss"]  # the average changes no step
    assert plain.samples(16).read_bytes() != folder.samples(16).read_bytes()


def test_clipping_bounds_the_step():
    clipped, free = trainer_with(clip_norm=0.5), trainer_with()
    a, b = clipped.evaluate(), free.evaluate()
    norm = np.sqrt(sum(float(np.square(g, dtype=np.float64).sum()) for g in a.gradients.values()))
    assert norm == pytest.approx(0.5, rel=1e-6)
    assert a.gradient_norm == b.gradient_norm > 0.5
    for name, gradient in b.gradients.items():
        assert np.allclose(a.gradients[name] * (b.gradient_norm / 0.5), gradient, rtol=1e-5)


# ---- divergence and interruption ----------------------------------------------------------------


def test_a_divergence_keeps_the_last_good_checkpoint(tmp_path):
    folder = RunFolder(tmp_path / "run")
    folder.path.mkdir()
    trainer = trainer_with(learning_rate=1e30, warm_up_steps=0)
    with pytest.raises(DivergedError, match=r"in step 2: .* is the first layer") as caught:
        train(trainer, folder, replace(SCHEDULE, checkpoint_every=1))
    assert caught.value.layer in {".".join(name.split(".")[:3]) for name in
                                  trainer.glow.state_dict()}
    saved = load_checkpoint(folder.checkpoint)
    assert saved.step == 0
    again = trainer_with(learning_rate=1e30, warm_up_steps=0)
    again.restore(saved)
    again.step()  # a state from which a step can be made
    assert not folder.model.exists() and folder.loss_curve.exists()
    assert [entry["step"] for entry in log_of(folder)] == [1]


def test_weights_that_are_bad_at_the_end_are_not_saved(tmp_path):
    folder = RunFolder(tmp_path / "run")
    folder.path.mkdir()
    with pytest.raises(DivergedError):
        train(trainer_with(learning_rate=1e30, warm_up_steps=0), folder, Schedule(1))
    assert load_checkpoint(folder.checkpoint).step == 0
    assert not folder.model.exists()


@pytest.mark.parametrize("at", [1, 5, 8])
def test_ctrl_c_finishes_the_step_and_saves_it(at, tmp_path):
    whole, _ = run(tmp_path / "whole")
    folder = RunFolder(tmp_path / "run")
    folder.path.mkdir()
    last = train(trainer_with(), folder, SCHEDULE,
                 lambda report: os.kill(os.getpid(), signal.SIGINT) if report.step == at else None)
    assert last["stopped"] and last["step"] == at
    assert load_checkpoint(folder.checkpoint).step == at
    assert not folder.model.exists()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    go_on(folder)
    assert_same_run(whole, folder)


def test_ctrl_c_in_the_middle_of_an_update_leaves_no_half_moved_weights(tmp_path, monkeypatch):
    whole, _ = run(tmp_path / "whole")
    folder = RunFolder(tmp_path / "run")
    folder.path.mkdir()
    trainer = trainer_with()
    count = 0

    def adopt_and_interrupt(variable, array):
        nonlocal count
        adopt(variable, array)
        count += 1
        if count == 50:
            os.kill(os.getpid(), signal.SIGINT)
    monkeypatch.setattr("refglow.training.optimizer.adopt", adopt_and_interrupt)
    last = train(trainer, folder, SCHEDULE)
    assert last["stopped"] and 0 < last["step"] < 16 and count > 50
    go_on(folder)
    assert_same_run(whole, folder)


def test_the_second_ctrl_c_stops_at_once(tmp_path):
    folder = RunFolder(tmp_path / "run")
    folder.path.mkdir()

    def twice(report):
        for _ in range(2 * (report.step == 6)):
            os.kill(os.getpid(), signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        train(trainer_with(), folder, SCHEDULE, twice)
    assert load_checkpoint(folder.checkpoint).step == 4
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_test_likelihood_that_is_not_finite_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(Trainer, "test_bits_per_dim", lambda self, most: float("inf"))
    said = []
    folder = RunFolder(tmp_path / "run")
    folder.path.mkdir()
    train(trainer_with(), folder, SCHEDULE, on_event=said.append)
    assert said == [f"Step {step}: the likelihood of the test images is not finite."
                    for step in (6, 12, 16)]
    assert not any("test_bits_per_dim" in entry for entry in log_of(folder))


def test_missing_packages_are_noticed_first(tmp_path, monkeypatch):
    folder = RunFolder(tmp_path)
    monkeypatch.setattr(training, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"without matplotlib.*refglow\[train\]"):
        train(trainer_with(), folder, SCHEDULE)
    assert list(tmp_path.iterdir()) == []


# ---- the folder ---------------------------------------------------------------------------------


def test_only_one_process_holds_a_folder(tmp_path):
    folder = RunFolder(tmp_path / "deep" / "run")
    with folder.held(), pytest.raises(ValueError, match=r"Another process is training in .*run"), \
            RunFolder(folder.path).held():
        pass
    with folder.held():
        (folder.path / ".refglow-0123.tmp").write_bytes(b"half")
    with folder.held():
        assert list(folder.path.iterdir()) == []


@pytest.mark.parametrize("name", ["log.jsonl", "model.safetensors", "loss.png"])
def test_nothing_is_written_over(name, tmp_path):
    RunFolder(tmp_path).require_new()
    (tmp_path / name).write_bytes(b"mine")
    with pytest.raises(ValueError, match=rf"holds {name}, but no checkpoint"):
        RunFolder(tmp_path).require_new()
    (tmp_path / "checkpoint.safetensors").write_bytes(b"")
    with pytest.raises(ValueError, match="already holds a training run"):
        RunFolder(tmp_path).require_new()


def test_a_log_with_odd_lines(tmp_path):
    folder = RunFolder(tmp_path)
    folder.log.write_bytes(b'{"step": 1, "loss": 2.5}\n\xff\xfe\n[1]\n' + b"[" * 100_000
                           + b'\n{"step": "3"}\n\n{"step": 2, "loss": 1.5}\n{"step": 3, "lo')
    assert [entry["step"] for entry in folder.entries()] == [1, 2]
    folder.drop_after(1)
    assert folder.log.read_text() == '{"step": 1, "loss": 2.5}\n'


@pytest.mark.parametrize(("name", "value", "message"), [
    ("optimizer", "sgd", "one of adam, adamw, adamax; got 'sgd'"),
    ("learning_rate", 0.0, "a positive number; got 0.0"),
    ("learning_rate", float("nan"), "positive number; got nan"),
    ("learning_rate", "fast", "positive number; got 'fast'"),
    ("learning_rate", True, "positive number; got True"),
    ("beta_1", 1.0, "below 1; got 1.0"), ("average_decay", 1.0, "below 1; got 1.0"),
    ("clip_norm", 0, "positive number; got 0"), ("weight_decay", -1.0, "0 or more; got -1.0"),
    ("weight_decay", None, "0 or more; got None"),
    ("num_glow_blocks", 32, "at least 1 and at most 31; got 32"),
    ("num_steps_per_block", 0, "at least 1; got 0"), ("num_hidden", 2.0, "whole number"),
    ("batch_size", 2**40, "at most 65536"), ("seed", -1, "at least 0; got -1"),
    ("n_bits", 17, "at most 16; got 17"), ("data", None, "a text"), ("data", "", "a text")])
def test_impossible_settings(name, value, message):
    with pytest.raises(ValueError, match=rf"{name} must .*{message}"):
        Settings(**{name: value})


def test_settings_by_name():
    settings = Settings(seed=3, clip_norm=2)
    assert Settings.from_dict(json.loads(json.dumps(settings.as_dict()))) == settings
    with pytest.raises(ValueError, match="no settings called 'lerning_rate', 'x'"):
        Settings.from_dict({"lerning_rate": 1, "x": 2})
