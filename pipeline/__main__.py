"""The command line: `handpose COMMAND`, the same as `python -m pipeline COMMAND`.

Imports stand inside the commands: `handpose --help` and completion wait for none of them.
"""

from __future__ import annotations

import errno
import io
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from typer import Argument, Context, Option
from typer.core import TyperGroup

from handpose.errors import HandPoseError
from handpose.stop_signal import ctrl_c_raises
from pipeline.data.commands import add_to as add_data_to
from pipeline.evaluate.commands import add_to as add_evaluate_to
from pipeline.experiment.commands import add_to as add_experiment_to
from pipeline.export.commands import add_to as add_export_to
from pipeline.field.commands import add_to as add_field_to
from pipeline.fit_hands.commands import add_to as add_fit_hands_to
from pipeline.labels.commands import add_to as add_labels_to
from pipeline.predict.commands import add_to as add_predict_to
from pipeline.release.commands import add_to as add_release_to
from pipeline.remote.commands import add_to as add_remote_to

if TYPE_CHECKING:
    from stages.params import Params

PARAMS = Path("params.yaml")
Text = str | None
File = Path | None
Targets = Annotated[
    list[str] | None,
    Argument(metavar="STAGE", help="Default: every stage.", autocompletion=lambda: _stage_names()),
]


DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG, errno.EIO)

RUN_DVC = ("plan", "doctor", "release", "table")
"""Commands about what DVC runs, which reads no other parameters than those of params.yaml."""


class Commands(TyperGroup):
    """Commands that end with exit code 2 and a plain message for what the user can fix."""

    def invoke(self, ctx: Any) -> None:
        """Run a command, which returns its exit code or None for 0."""
        try:
            with ctrl_c_raises():
                code = super().invoke(ctx)
                sys.stdout.flush()
        except BrokenPipeError:  # the reader, such as `head`, has closed the pipe
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # flushed at exit
            code = 128 + signal.SIGPIPE
        except HandPoseError as error:
            print(f"handpose: {error}", file=sys.stderr)
            code = 2
        except OSError as error:
            text = _message(error)
            if not text:  # a defect of ours, which keeps its traceback
                raise
            print(f"handpose: {text}", file=sys.stderr)
            code = 2
        except KeyboardInterrupt:
            print("handpose: stopped by Ctrl-C", file=sys.stderr)
            code = 128 + signal.SIGINT
        raise typer.Exit(code or 0)


def _message(error: OSError) -> str:
    """What is wrong with the file or the system, and what to do; empty if the error names none."""
    from stages.running.command import REMEDIES

    if error.errno in DISK:  # a write into an open file names no file
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}{error.strerror}. {REMEDIES[error.errno]}, then run again"
    if not error.filename:
        return ""
    if error.errno == errno.ENAMETOOLONG:
        return f"{error.filename}: the name is too long; give a shorter one"
    if error.errno in (errno.EEXIST, errno.ENOTDIR, errno.EISDIR):
        place = Path(str(error.filename2 or error.filename))  # of a renaming, the target
        if error.errno == errno.EISDIR:
            return f"{place}: is a folder, expected a file; name another path"
        for part in (place, *place.parents):
            if part.is_file():
                return f"{part}: is a file, expected a folder; name another path"
        return f"{place}: {error.strerror}; name another path"
    return f"{error.filename}: {error.strerror}; fix its permission, or name another path"


def _group(help: str, **options: Any) -> typer.Typer:
    """Commands under one name, with plain help and Python's own tracebacks."""
    return typer.Typer(
        help=help,
        no_args_is_help=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
        **options,
    )


app = _group("Gesture-aware 3D hand pose: everything around `dvc repro`.", cls=Commands)
app.add_typer(labels := _group("The gesture map."), name="labels")
add_labels_to(labels)
app.add_typer(experiment := _group("Variants with several seeds, compared."), name="experiment")
add_experiment_to(experiment)
app.add_typer(evaluate := _group("Score models, and anyone's predictions."), name="evaluate")
add_evaluate_to(evaluate)
app.add_typer(mano := _group("Hand models beside the stand-in: MANO, Anny's."), name="mano")
app.add_typer(data := _group("Check a data set and look at it."), name="data")
add_data_to(data)
app.add_typer(remote := _group("Where dvc push keeps results."), name="remote")
add_remote_to(remote)


def main(argv: list[str] | None = None) -> int:
    """Exit code: 0, or 2 with a plain message for what the user can fix."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a file's name need not be UTF-8
            stream.reconfigure(errors="backslashreplace")
    try:
        typer.main.get_command(app).main(argv, prog_name="handpose")
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def _stage_names() -> list[str]:
    """For completion; nothing where no `dvc.yaml` can be read."""
    from pipeline.dag import read_dag

    try:
        return list(read_dag(Path.cwd()))
    except HandPoseError:
        return []


def _profile_names() -> list[str]:
    """As `pipeline.profiles.configure.profiles`, whose import takes more than a second."""
    overlays = (Path(__file__).parent / "profiles").glob("*.yaml")
    return sorted(["demo", *(path.stem for path in overlays)])


@app.callback()
def _options(
    ctx: Context,
    params: Annotated[Path, Option(metavar="FILE", help="File of parameters.")] = PARAMS,
) -> None:
    if params != PARAMS and ctx.invoked_subcommand in RUN_DVC:
        raise HandPoseError(
            f"--params {params}: DVC reads {PARAMS}, and so does {ctx.invoked_subcommand}; change "
            "that file"
        )
    ctx.obj = params


def _params(ctx: Context) -> Params:
    from stages.params import load_params

    return load_params(ctx.obj)


@app.command()
def describe(
    ctx: Context,
    figure: Annotated[
        File, Option(metavar="FILE.png", help="Draw the architecture instead.")
    ] = None,
) -> None:
    """Print networks, losses and schedules, or draw them."""
    from pipeline.describe.describe import architecture, description
    from pipeline.describe.figure import draw_architecture

    if figure:
        draw_architecture(architecture(ctx.obj), figure)
        print(f"wrote {figure}")
    else:
        print(description(ctx.obj))


@app.command()
def gestures(ctx: Context, out: Path = Path("results/gestures.png")) -> None:
    """Draw every gesture from two views."""
    from handpose.synthetic.articulation import own_gesture_table
    from handpose.synthetic.gallery import contact_sheet
    from stages.hand_model import load_hand_model

    params = _params(ctx)
    table = own_gesture_table(params.hand.mano)
    contact_sheet(load_hand_model(params.hand, params.data), out, table)
    print(f"wrote {out}")


@app.command("configure")
def configure_(
    ctx: Context,
    profile: Annotated[
        str,
        Option(
            help="demo (as shipped), best (lower error, by the experiments), interhand26m (the "
            "paper's), eanet, wide (photos) or tiny.",
            autocompletion=_profile_names,
        ),
    ],
    data_root: Annotated[File, Option(help="A data set: InterHand2.6M, or own recordings.")] = None,
    mano: Annotated[File, Option(help="Folder with MANO_RIGHT.npz.")] = None,
) -> None:
    """Write a profile's values into params.yaml."""
    from pipeline.profiles.configure import configure

    changed = configure(profile, ctx.obj, data_root=data_root, mano=mano)
    print("\n".join(changed) or f"{ctx.obj} already has every value of {profile}")


@app.command("plan")
def plan_(targets: Targets = None) -> int:
    """Show what dvc repro would run, and why."""
    from pipeline.plan.plan import plan

    found = plan(Path.cwd(), targets or [])
    print("\n".join(found.lines))
    return 2 if found.stops else 0


@app.command("compare")
def compare_(
    first: Annotated[
        str,
        Argument(
            metavar="A",
            help="A git revision, an experiment, or a clone's ./FOLDER; or several,"
            " with commas: seed-1,seed-2.",
        ),
    ] = "HEAD",
    second: Annotated[Text, Argument(metavar="B", help="The same. Default: this folder.")] = None,
    every: Annotated[bool, Option("--all", help="Every gesture, moved or not.")] = False,
    out: Annotated[File, Option(help="A picture too: FILE.png.")] = None,
) -> None:
    """Show what changed since another revision's results.

    Of several runs: the difference over seeds and people.
    """
    from pipeline.compare.compare import compare
    from pipeline.compare.seed_report import compare_sets
    from pipeline.compare.seed_sets import SeedSetError, is_set

    root = Path.cwd()
    if is_set(root, first) or (second and is_set(root, second)):
        if every or out:
            raise SeedSetError(
                "--all and --out show gestures of two runs; they take no sets of runs"
            )
        lines = compare_sets(root, first, second or ".")
    else:
        lines = compare(root, first, second, every=every, picture=out)
    print("\n".join(lines))


@app.command("table")
def table_(
    seeds: Annotated[str, Option(help="Training seeds, three or more.")] = "0,1,2",
    jobs: Annotated[
        int | None,
        Option("--jobs", "-j", min=1, help="Seeds at once. Default: one a core; on a GPU one."),
    ] = None,
    allow_dirty: Annotated[
        bool, Option("--allow-dirty", help="Train with changes that are not committed.")
    ] = False,
) -> None:
    """Train with several seeds, and write README's table.

    If interrupted, run the same command again to resume.
    """
    from pipeline.table.table import parse_seeds, table

    table(Path.cwd(), parse_seeds(seeds), jobs=jobs, allow_dirty=allow_dirty)


add_release_to(app)


add_predict_to(app)


add_export_to(app)


@app.command("publish")
def publish_(
    ctx: Context,
    out: Annotated[Path, Argument(metavar="FOLDER", help="Folder to create.")],
    run: Annotated[
        Literal["pretrained", "scratch"], Option(help="Which of the two Stage 2 models.")
    ] = "pretrained",
) -> None:
    """Put a trained model into a folder that can be passed on.

    Weights, numbers with intervals, and a card that says whose terms it is under.
    """
    from pipeline.publish.publish import publish

    facts = publish(Path.cwd(), _params(ctx), run, out)
    for line in facts["terms"]:
        print(f"publish: {line}")
    print(f"wrote {out}; read its card.md before you pass it on")


add_fit_hands_to(app)


add_field_to(app)


@app.command()
def ui(port: Annotated[int, Option(min=1, max=65534)] = 4200) -> None:
    """Run a Prefect server here, which shows runs.

    It serves the results too, at the next port.
    """
    from pipeline.dag import read_dag
    from pipeline.live.ui import serve

    read_dag(Path.cwd())  # elsewhere no run would find the server
    serve(Path.cwd(), port, lambda line: print(line, flush=True))


@app.command()
def view(
    folder: Annotated[
        File,
        Argument(
            metavar="FOLDER",
            help="A page of export --format web. Default: this clone's evaluated images.",
        ),
    ] = None,
    port: Annotated[int, Option(min=0, max=65535, help="Port of the page; 0: a free one.")] = 8321,
) -> None:
    """Look at evaluated images and hands in a browser, or at your own hand by an exported page.

    Images one by one, by gesture, error or confidence; both pages are local, and nothing leaves the
    machine.
    """

    def write(line: str) -> None:
        print(line, flush=True)

    if folder is not None:
        from pipeline.view.page_server import serve_page

        serve_page(folder, port, write)
        return
    from pipeline.dag import read_dag
    from pipeline.view.evaluated import EvaluatedSamples
    from pipeline.view.view_server import serve

    read_dag(Path.cwd())  # elsewhere there are no results
    serve(EvaluatedSamples.open(), port, write)


@app.command()
def run(
    targets: Targets = None,
    overrides: Annotated[
        list[str] | None,
        Option(
            "-S", metavar="section.key=value", help="Override a value of params.yaml; repeatable."
        ),
    ] = None,
    retries: Annotated[
        int, Option(min=0, help="How often a failed run is started again; it resumes.")
    ] = 0,
) -> int:
    """Run one dvc repro as a Prefect flow."""
    from pipeline.live.server import Server

    Server.need(Path.cwd())
    from pipeline.live.flow import start  # reads the settings that `need` made

    return start(targets or [], overrides or [], retries)


@app.command()
def serve(
    targets: Targets = None,
    cron: Annotated[Text, Option(help='Such as "0 3 * * *": every night at three.')] = None,
    timezone: Annotated[
        Text, Option(help="Time zone of --cron, such as Europe/Paris. Default: this machine's.")
    ] = None,
) -> None:
    """Start that flow from the UI, or on a schedule."""
    from pipeline.live.server import Server

    Server.need(Path.cwd())
    from pipeline.live.flow import serve

    serve(targets or [], cron, timezone)


@mano.command("import")
def mano_import(
    source: Annotated[Path, Argument(metavar="SOURCE", help="A pickle, or the unpacked download.")],
    out: Annotated[File, Option(help="Default: beside the pickles.")] = None,
) -> None:
    """Read the official MANO_RIGHT.pkl and MANO_LEFT.pkl."""
    from pipeline.mano_import.mano_import import import_mano

    print("\n".join(import_mano(source, out)))


@mano.command("anny")
def mano_anny(
    folder: Annotated[
        Path, Argument(metavar="FOLDER", help="For hand.mano; it must not exist yet.")
    ],
) -> None:
    """Write Anny's hand, a free one with more anatomy than the stand-in."""
    from handpose.synthetic.anny_hand import write_anny_hand

    write_anny_hand(folder)
    print(f"wrote {folder}; now set hand.mano to it in params.yaml")


@app.command()
def doctor(
    cache: Annotated[bool, Option("--cache", help="Hash every object of DVC's cache.")] = False,
) -> int:
    """Check the machine, the clone and its settings.

    One line a check: ok, note, or FAIL with the remedy. Exit code 2 on a FAIL.
    """
    from pipeline.doctor.doctor import examine

    return examine(Path.cwd(), cache=cache)


if __name__ == "__main__":
    sys.exit(main())
