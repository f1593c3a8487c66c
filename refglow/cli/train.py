"""`refglow train`: train a Glow on images with refglow's own derivatives."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from refglow.cli.json_report import is_standard_output, require_writable, write_json
from refglow.cli.messages import say, warnings_as_lines
from refglow.safetensors_file import naming

if TYPE_CHECKING:
    from refglow.training.checkpoint import Checkpoint
    from refglow.training.run_folder import RunFolder
    from refglow.training.settings import Settings
    from refglow.training.train import Schedule
    from refglow.training.trainer import Trainer

_MODEL, _OPTIMIZER, _RUN = "Model", "Optimizer", "Run"


def train(
    out: Annotated[Path, typer.Option(help="The folder for the run's files.")],
    data: Annotated[str | None, typer.Option(
        help="digits, photographs, cifar10:FOLDER, a folder of PNG or JPEG images, or a .npy "
        "file.", show_default="digits")] = None,
    steps: Annotated[int, typer.Option(min=1, help="The number of steps in all.")] = 500,
    resume: Annotated[bool, typer.Option(
        "--resume", help="Go on from the folder's checkpoint.")] = False,
    batch_size: Annotated[int | None, typer.Option(
        help="Images in a step.", show_default="32", rich_help_panel=_RUN)] = None,
    image_size: Annotated[int | None, typer.Option(
        help="Side of the photographs' patches.", show_default="32", rich_help_panel=_RUN)] = None,
    n_bits: Annotated[int | None, typer.Option(
        help="Bits that are kept of each level.", show_default="all", rich_help_panel=_RUN)] = None,
    seed: Annotated[int | None, typer.Option(
        help="Of weights, order and noise.", show_default="0", rich_help_panel=_RUN)] = None,
    memory: Annotated[str | None, typer.Option(
        help="How gradients are taken: store (fastest), checkpoint, reversible (least memory).",
        show_default="store", rich_help_panel=_RUN)] = None,
    blocks: Annotated[int | None, typer.Option(
        help="Scales of the Glow.", show_default="as many as fit, at most 3",
        rich_help_panel=_MODEL)] = None,
    steps_per_block: Annotated[int | None, typer.Option(
        help="Steps of the flow in each.", show_default="8", rich_help_panel=_MODEL)] = None,
    hidden: Annotated[int | None, typer.Option(
        help="Hidden channels of the coupling networks.", show_default="64",
        rich_help_panel=_MODEL)] = None,
    coupling: Annotated[str | None, typer.Option(
        help="affine or additive.", show_default="affine", rich_help_panel=_MODEL)] = None,
    dtype: Annotated[str | None, typer.Option(
        help="float32 or float64.", show_default="float32", rich_help_panel=_MODEL)] = None,
    optimizer: Annotated[str | None, typer.Option(
        help="adam, adamw or adamax.", show_default="adam", rich_help_panel=_OPTIMIZER)] = None,
    learning_rate: Annotated[float | None, typer.Option(
        show_default="0.001", rich_help_panel=_OPTIMIZER)] = None,
    weight_decay: Annotated[float | None, typer.Option(
        help="AdamW's.", show_default="0.01", rich_help_panel=_OPTIMIZER)] = None,
    warm_up_steps: Annotated[int | None, typer.Option(
        help="Steps over which the learning rate rises.", show_default="50",
        rich_help_panel=_OPTIMIZER)] = None,
    clip_norm: Annotated[float | None, typer.Option(
        help="Largest global norm of a gradient.", show_default="none",
        rich_help_panel=_OPTIMIZER)] = None,
    average_decay: Annotated[float | None, typer.Option(
        help="Evaluate with an exponential moving average of the weights, of this decay.",
        show_default="none", rich_help_panel=_OPTIMIZER)] = None,
    checkpoint_every: Annotated[int, typer.Option(min=0, rich_help_panel=_RUN,
                                                  help="0: only at the end.")] = 100,
    test_every: Annotated[int, typer.Option(
        min=0, help="Steps between looks at the test images.", rich_help_panel=_RUN)] = 100,
    test_images: Annotated[int, typer.Option(
        min=1, help="At most so many of them.", rich_help_panel=_RUN)] = 1000,
    sample_every: Annotated[int, typer.Option(
        min=0, help="Steps between sample grids; 0: only at the end.", rich_help_panel=_RUN)] = 0,
    json: Annotated[Path | None, typer.Option(
        help="Write the results as JSON to this file ('-': standard output).")] = None,
) -> None:
    """Train a Glow by maximum likelihood.

    The folder gets a log of every step (log.jsonl), the loss curve, sample grids, the model, and a
    checkpoint from which --resume goes on, bit for bit as if nothing had happened. On --resume, all
    settings are the checkpoint's; those that are given must be the same.

    The exit code is 0 at the end of training, 1 if it diverged, 2 if it could not run.
    """
    from refglow.training.data import absolute_source

    require_writable(json)
    given = {"data": None if data is None else absolute_source(data), "image_size": image_size,
             "n_bits": n_bits, "seed": seed, "batch_size": batch_size, "memory": memory,
             "num_glow_blocks": blocks, "num_steps_per_block": steps_per_block,
             "num_hidden": hidden, "coupling": coupling, "dtype": dtype, "optimizer": optimizer,
             "learning_rate": learning_rate, "weight_decay": weight_decay,
             "warm_up_steps": warm_up_steps, "clip_norm": clip_norm, "average_decay": average_decay}
    from refglow.training.train import Schedule

    schedule = Schedule(steps, checkpoint_every, test_every, sample_every, test_images)
    with warnings_as_lines():
        report = _run({key: value for key, value in given.items() if value is not None},
                      out, schedule, resume, to_stderr=is_standard_output(json))
    write_json(json, report)
    if report.get("stopped"):
        raise ValueError(f"Stopped after step {report['step']}, which is saved. --resume goes on "
                         "from there.")
    raise typer.Exit(1 if "diverged" in report else 0)


def _run(given: dict[str, Any], out: Path, schedule: Schedule, resume: bool,
         to_stderr: bool) -> dict[str, Any]:
    from refglow.training.data import open_data
    from refglow.training.run_folder import RunFolder
    from refglow.training.trainer import Trainer

    folder = RunFolder(out)
    settings, checkpoint = _settings(given, folder, resume)
    try:
        trainer = Trainer(settings, *open_data(settings.data, image_size=settings.image_size))
        with folder.held():
            if checkpoint is not None:
                with naming(folder.checkpoint):
                    trainer.restore(checkpoint)
                folder.drop_after(trainer.step_count)
                say(f"Going on after step {trainer.step_count}.", to_stderr=to_stderr)
            elif resume:
                say(f"There is no checkpoint in {out}: starting at the beginning.",
                    to_stderr=to_stderr)
            say(_header(trainer, out), to_stderr=to_stderr)
            report = _trained(trainer, folder, schedule)
    except KeyboardInterrupt:
        raise ValueError(f"Stopped at once. {_how_to_go_on(folder)}") from None
    except MemoryError as error:
        raise ValueError(f"The memory is not enough ({error}). A smaller --batch-size, --hidden or "
                         "--memory reversible needs less.") from error
    if not report["stopped"]:
        _say_result(report, folder, to_stderr)
    return report


def _settings(given: dict[str, Any], folder: RunFolder,
              resume: bool) -> tuple[Settings, Checkpoint | None]:
    """The settings of a new run, or of the one that goes on, with its checkpoint.

    A run that was killed before its first checkpoint starts again.
    """
    from refglow.training.checkpoint import differences
    from refglow.training.settings import Settings
    from refglow.training.trained import load_run

    if resume and folder.checkpoint.exists():
        checkpoint, before = load_run(folder)
        settings = Settings(**before.as_dict() | given)
        found = differences(before.as_dict(), settings.as_dict())
        if found:
            raise ValueError(f"The run in {folder.path} has other settings: {'; '.join(found)}. "
                             "Leave them out, or start another run in another folder.")
        return settings, checkpoint
    folder.require_new()
    settings = Settings(**given)
    if "weight_decay" in given and settings.optimizer != "adamw":
        raise ValueError(f"weight_decay is for adamw only; the optimizer is {settings.optimizer}.")
    own, data = folder.path.resolve(), Path(settings.data).resolve()
    if data.is_dir() and own in (data, data / "train", data / "test"):
        raise ValueError(f"{folder.path} is the folder of the images; the run's own pictures would "
                         "become part of the data. Give another folder for --out.")
    return settings, None


def _trained(trainer: Trainer, folder: RunFolder, schedule: Schedule) -> dict[str, Any]:
    """Train, with a progress bar; the report."""
    from refglow.cli.train_progress import TrainProgress
    from refglow.training.divergence import DivergedError
    from refglow.training.train import train

    started = time.perf_counter()
    report: dict[str, Any] = {"settings": trainer.settings.as_dict(), "folder": str(folder.path),
                              "first_step": trainer.step_count}
    with TrainProgress(trainer, schedule.steps) as progress:
        try:
            report |= train(trainer, folder, schedule, progress.show, progress.say)
        except DivergedError as error:
            report |= {"stopped": False, "step": error.step, "diverged": error.layer,
                       "message": str(error)}
        except OSError as error:
            error.add_note(_how_to_go_on(folder))
            raise
    return report | {"seconds": time.perf_counter() - started}


def _what_stands(folder: RunFolder) -> str:
    """Which checkpoint a failed run can go on from."""
    from refglow.training.checkpoint import load_checkpoint

    if not folder.checkpoint.exists():
        return "There is no checkpoint yet."
    step = load_checkpoint(folder.checkpoint).step
    return f"The checkpoint of step {step} stands."


def _how_to_go_on(folder: RunFolder) -> str:
    """The same, and what the user can do."""
    going_on = " --resume goes on from there." if folder.checkpoint.exists() else ""
    return _what_stands(folder) + going_on


def _header(trainer: Trainer, out: Path) -> str:
    from refglow.training.model import num_parameters

    data, settings = trainer.train_data, trainer.settings
    shape = " x ".join(map(str, data.image_shape))
    blocks = trainer.glow.parameters["num_glow_blocks"]
    return (f"{len(data)} images of {shape} from {data.name}, {trainer.batches.n_bits} bits. "
            f"Glow: {blocks} x {settings.num_steps_per_block} steps, {settings.num_hidden} hidden "
            f"channels, {num_parameters(trainer.glow):,} parameters. Files go to {out}.")


def _say_result(report: dict[str, Any], folder: RunFolder, to_stderr: bool) -> None:
    if "diverged" in report:
        say(f"{report['message']} {_what_stands(folder)}", to_stderr=to_stderr)
        return
    if report["step"] == report["first_step"]:
        say(f"The run is already at step {report['step']}: nothing was left to do.",
            to_stderr=to_stderr)
        return
    test = (f", {report['test_bits_per_dim']:.3f} on test images"
            if "test_bits_per_dim" in report else "")
    say(f"Step {report['step']}: {report['bits_per_dim']:.3f} bits/dim in the last batch{test} "
        f"({report['seconds']:.0f} s). See {folder.loss_curve.name} and {folder.log.name} in "
        f"{folder.path}.", to_stderr=to_stderr)
