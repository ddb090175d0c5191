"""The command line: `handpose COMMAND`, the same as `python -m pipeline COMMAND`.

Imports stand inside the commands: `handpose --help` and completion wait for none of them.
"""

from __future__ import annotations

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
from pipeline.experiment.commands import add_to as add_experiment_to
from pipeline.field.commands import add_to as add_field_to
from pipeline.labels.commands import add_to as add_labels_to
from stages.paths import IMPORTED

if TYPE_CHECKING:
    from stages.params import Params

Text = str | None
File = Path | None
Targets = Annotated[
    list[str] | None,
    Argument(metavar="STAGE", help="Default: every stage.", autocompletion=lambda: _stage_names()),
]


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
            if not error.filename:  # a defect of ours, which keeps its traceback
                raise
            found = f"{error.filename}: {error.strerror}"
            print(f"handpose: {found}; fix its permission, or name another path", file=sys.stderr)
            code = 2
        except KeyboardInterrupt:
            print("handpose: stopped by Ctrl-C", file=sys.stderr)
            code = 128 + signal.SIGINT
        raise typer.Exit(code or 0)


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
app.add_typer(mano := _group("The licensed hand model."), name="mano")
app.add_typer(data := _group("Is the download whole, what does training see."), name="data")
app.add_typer(remote := _group("Where dvc push keeps results."), name="remote")


def main(argv: list[str] | None = None) -> int:
    """Exit code: 0, or 2 with a plain message for what the user can fix."""
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
    ctx: Context, params: Annotated[Path, Option(help="Parameters.")] = Path("params.yaml")
) -> None:
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
    from handpose.synthetic.gallery import contact_sheet
    from stages.hand_model import load_hand_model

    params = _params(ctx)
    contact_sheet(load_hand_model(params.hand, params.data), out)
    print(f"wrote {out}")


@app.command("configure")
def configure_(
    ctx: Context,
    profile: Annotated[
        str,
        Option(
            help="demo (default), interhand26m, eanet, wide (photos) or tiny.",
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
    """Show what moved since another revision's results.

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
    seeds: Annotated[str, Option(help="Of the training, three or more.")] = "0,1,2",
    allow_dirty: Annotated[
        bool, Option("--allow-dirty", help="Train with changes that are not committed.")
    ] = False,
) -> None:
    """Train with several seeds, and write README's table.

    Stopped, the same command goes on where it was.
    """
    from pipeline.table.table import parse_seeds, table

    table(Path.cwd(), parse_seeds(seeds), allow_dirty=allow_dirty)


@app.command("release")
def release_(
    ctx: Context,
    allow_dirty: Annotated[
        bool, Option("--allow-dirty", help="With changes that are not committed.")
    ] = False,
) -> None:
    """Train profile wide, measure it on shifted sets, pack it.

    The weights that HandEstimator.released() takes. Stopped, it goes on where it was.
    """
    from pipeline.release.release import release, require_committed, require_own, train
    from pipeline.release.training_start import TrainingStart

    root, params = Path.cwd(), _params(ctx)
    require_own(root, params)
    start = TrainingStart.of(require_committed(root, allow_dirty=allow_dirty))
    train(root)  # for hours, in which its user may commit
    out = release(start, params, lambda line: print(line, flush=True))
    print(f"wrote {out.relative_to(Path.cwd())}; its card.md says how good it is; commit all of it")


@app.command("confidence")
def confidence_(
    ctx: Context,
    model: Annotated[
        Path, Option(metavar="FOLDER", help="A Stage 2 model; its head is written into it.")
    ] = Path("models/pose/pretrained"),
    device: Annotated[Literal["auto", "cpu", "cuda"], Option()] = "auto",
) -> None:
    """Teach a trained model to say how sure it is.

    From the photos of data.root: 90 % regions of joints, and whether a box holds a hand.
    """
    from handpose.training.device import prepare_device
    from pipeline.confidence.confidence import train_confidence

    params = _params(ctx)
    record = train_confidence(
        model,
        mano=params.hand.mano,
        photos=Path(params.data.root),
        device=str(prepare_device(device, 0)),
    )
    print(f"wrote {model / 'confidence.json'}: {record}")


@app.command("predict")
def predict_(
    sources: Annotated[
        list[str],
        Argument(metavar="SRC...", help="Photos, a folder, a 'pattern*.jpg', a video, camera:0."),
    ],
    model: Annotated[
        File, Option(metavar="FOLDER", help="Default: released, else this clone's.")
    ] = None,
    mano: Annotated[
        File, Option(metavar="FOLDER", help="With MANO_RIGHT.npz. Default: the stand-in hand.")
    ] = None,
    bbox: Annotated[Text, Option(metavar="x,y,w,h", help="Around every hand, px.")] = None,
    boxes: Annotated[File, Option(metavar="FILE", help="CSV: file,x,y,w,h.")] = None,
    palms: Annotated[File, Option(metavar="FILE", help="A palm detector (docs/photos.md).")] = None,
    side: Annotated[Literal["left", "right", "auto"], Option(help="Of every hand.")] = "auto",
    intrinsics: Annotated[Text, Option(metavar="fx,fy,cx,cy", help="Of every photo, px.")] = None,
    out: Annotated[Path, Option(metavar="FOLDER")] = Path("results/predict"),
    batch: Annotated[int, Option(min=1, help="Photos at once.")] = 16,
    obj: Annotated[bool, Option("--obj", help="A mesh of every hand too.")] = False,
    smooth: Annotated[bool, Option("--smooth", help="Videos: average five frames.")] = False,
    seconds: Annotated[float, Option(min=0.1, help="To record of a camera.")] = 10.0,
    device: Annotated[Literal["auto", "cpu", "cuda"], Option()] = "auto",
) -> int:
    """Find the hand in photos and videos.

    One large hand in each, or with --palms every hand of a photo: draws it, and writes
    predictions.json. Exit code 2 if any file failed.
    """
    from handpose.detection.palm_detector import PalmDetector
    from handpose.estimator import HandEstimator
    from handpose.training.device import prepare_device
    from pipeline.predict.hand_box import parse_numbers, read_boxes
    from pipeline.predict.predict import predict
    from pipeline.predict.request import PredictRequest, default_model
    from pipeline.predict.sources import SourceList

    def write(line: str) -> None:
        print(line, flush=True)

    request = PredictRequest(
        out=out,
        box=parse_numbers(bbox, "--bbox", "x,y,w,h") if bbox else None,
        boxes=read_boxes(boxes) if boxes else {},
        side=None if side == "auto" else side,
        intrinsics=parse_numbers(intrinsics, "--intrinsics", "fx,fy,cx,cy") if intrinsics else None,
        batch=batch,
        meshes=obj,
        smooth=smooth,
        seconds=seconds,
    )
    found = SourceList.find(sources)
    detector = PalmDetector.load(palms) if palms else None
    folder = model or default_model(write)
    where = str(prepare_device(device, 0))
    estimator = (
        HandEstimator.load(folder, mano=mano, device=where)
        if model or (folder / "model.json").is_file()
        else HandEstimator.released(where)
    )
    return predict(estimator, found, request, model=folder, mano=mano, palms=detector, write=write)


@app.command("export")
def export_(
    out: Annotated[
        Path, Argument(metavar="FILE", help="Such as hand.onnx or hand.pt; a folder for web.")
    ],
    format_: Annotated[
        Literal["onnx", "torchscript", "web"],
        Option("--format", help="What will run it; web: a page, in any browser."),
    ],
    model: Annotated[
        File, Option(metavar="FOLDER", help="Default: released, else this clone's.")
    ] = None,
    output: Annotated[
        Literal["joints", "mesh"], Option(help="Of the hand model; never MANO's.")
    ] = "joints",
    precision: Annotated[
        Literal["fp32", "fp16", "int8"], Option(help="Of the layers; onnx and web.")
    ] = "fp32",
    runtime: Annotated[
        File, Option(metavar="FILE", help="Of `npm pack onnxruntime-web`, or unpacked; web.")
    ] = None,
    mano: Annotated[
        File, Option(metavar="FOLDER", help="Of its hand model. Default: the stand-in hand.")
    ] = None,
) -> None:
    """Write a trained model as one file for other runtimes, or as a page for browsers.

    Checked against torch on pictures. FILE.json describes what goes in and out.
    """
    from pipeline.export.model_export import ExportRequest, export
    from pipeline.predict.request import default_model

    def write(line: str) -> None:
        print(line, flush=True)

    request = ExportRequest(
        out=out,
        model=model or default_model(write),
        format=format_,
        precision=precision,
        output=output,
        mano=mano,
        runtime=runtime,
    )
    export(request, write)


@app.command("publish")
def publish_(
    ctx: Context,
    out: Annotated[Path, Argument(metavar="FOLDER", help="A new one.")],
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


@app.command("fit")
def fit_(
    source: Annotated[
        Path,
        Argument(metavar="SRC", help=".npy, .npz or .json: (N,21,3), (N,778,3) or (N,21,2)."),
    ],
    out: Annotated[Path, Option(metavar="FOLDER")] = Path("results/fit"),
    order: Annotated[
        Literal["handpose", "mano", "interhand", "mediapipe", "openpose", "freihand"],
        Option(help="Whose order the 21 joints are in."),
    ] = "handpose",
    unit: Annotated[Literal["m", "mm"], Option(help="Of points in 3D.")] = "m",
    side: Annotated[
        Literal["left", "right"] | None, Option(help="Of every hand. Default: the file's, right.")
    ] = None,
    intrinsics: Annotated[Text, Option(metavar="fx,fy,cx,cy", help="Of every photo, px.")] = None,
    track: Annotated[bool, Option("--track", help="One person: one shape for all.")] = False,
    mano: Annotated[
        File, Option(metavar="FOLDER", help="With MANO_RIGHT.npz. Default: the stand-in hand.")
    ] = None,
    noise: Annotated[float, Option(min=0.05, metavar="MM", help="Of the points.")] = 0.5,
    npz: Annotated[bool, Option("--npz", help="Write fits.npz instead of fits.json.")] = False,
) -> None:
    """Fit the hand model to joints or meshes.

    Writes parameters, residuals, and what the points do not tell.
    """
    from pipeline.fit_hands.fit_hands import FitRequest, fit_hands
    from pipeline.fit_hands.points_file import HandPoints
    from pipeline.predict.hand_box import parse_numbers
    from pipeline.predict.request import PredictRequest

    given = parse_numbers(intrinsics, "--intrinsics", "fx,fy,cx,cy") if intrinsics else None
    K = PredictRequest(out=out, intrinsics=given).K
    fit_hands(
        source,
        HandPoints.read(source, unit=unit, side=side, K=K),
        FitRequest(out, order, track, noise, "npz" if npz else "json", mano),
        lambda line: print(line, flush=True),
    )


@app.command("evaluate")
def evaluate_(
    ctx: Context,
    predictions: Annotated[
        File, Option(metavar="FILE", help="To score: .parquet or .jsonl.")
    ] = None,
    export_to: Annotated[
        File, Option("--export", metavar="FILE", help="To write: this clone's predictions.")
    ] = None,
    split: Annotated[str, Option(help="Of the evaluation.")] = "test",
    partial: Annotated[bool, Option("--partial", help="Images may lack a prediction.")] = False,
    out: Annotated[Path, Option(metavar="FOLDER")] = IMPORTED,
    model: Annotated[
        File,
        Option(
            metavar="PATH",
            help="To export: a folder, or a checkpoint of HaMeR, WiLoR or AnyHand."
            " Default: the full model.",
        ),
    ] = None,
    native: Annotated[
        bool, Option("--native", help="Of a checkpoint: its own joints, without meshes.")
    ] = False,
    device: Annotated[Literal["auto", "cpu", "cuda"], Option(help="Of the model.")] = "auto",
    benchmark: Annotated[
        str, Option(metavar="NAME", help="Score by its own evaluator; docs/benchmarks.md.")
    ] = "",
    submission: Annotated[
        File, Option(metavar="FILE", help="To write, of --benchmark: as its evaluator reads it.")
    ] = None,
    shifted: Annotated[
        float | None,
        Option(metavar="SEVERITY", help="Both models on other cameras, light...; docs/shifted.md."),
    ] = None,
) -> None:
    """Score anyone's predictions beside this clone's models.

    Every protocol, paired over the same images, intervals over people. docs/imported.md describes
    the file. Give --predictions or --export, which writes such a file. With --benchmark, the model
    or a submission file is scored as FreiHAND, HO-3D or DexYCB score it. With --shifted, both
    models are scored on synthetic images unlike their training's.
    """
    if shifted is not None:
        if predictions or export_to or partial or model or native or benchmark or submission:
            raise HandPoseError("with --shifted only --out and --device go")
        from handpose.training.device import prepare_device
        from pipeline.shifted.evaluate_shifted import evaluate_shifted

        evaluate_shifted(
            shifted,
            _params(ctx),
            out=out,
            device=prepare_device(device, 0),
            write=lambda line: print(line, flush=True),
        )
        return
    if benchmark:
        if export_to or partial:
            raise HandPoseError("--export and --partial do not go with --benchmark")
        from handpose.training.device import prepare_device
        from pipeline.benchmark.evaluate_benchmark import BenchmarkRequest, evaluate_benchmark
        from stages.paths import STAGE_2_MODELS

        evaluate_benchmark(
            BenchmarkRequest(
                benchmark,
                predictions,
                submission,
                model or next(iter(STAGE_2_MODELS.values())),
                out,
                prepare_device(device, 0),
            ),
            _params(ctx),
            lambda line: print(line, flush=True),
        )
        return
    if submission:
        raise HandPoseError("--submission goes with --benchmark NAME")
    if (predictions is None) == (export_to is None):
        raise HandPoseError(
            "give either --predictions FILE, to score, or --export FILE, to write; docs/imported.md"
        )

    def write(line: str) -> None:
        print(line, flush=True)

    if predictions:
        from pipeline.imported.evaluate_file import evaluate_file

        evaluate_file(predictions, split, _params(ctx), partial=partial, out=out, write=write)
    elif export_to:
        from handpose.training.device import prepare_device
        from pipeline.imported.export import export
        from pipeline.imported.published_export import export_published, is_checkpoint
        from stages.paths import STAGE_2_MODELS

        chosen = model or next(iter(STAGE_2_MODELS.values()))
        params, on = _params(ctx), prepare_device(device, 0)
        if is_checkpoint(chosen):
            count = export_published(
                export_to, split, chosen, params, on, native=native, write=write
            )
        elif native:
            raise HandPoseError("--native is of a checkpoint of HaMeR, WiLoR or AnyHand: --model")
        else:
            count = export(export_to, split, chosen, params, on)
        write(f"wrote {count:,} predictions of {chosen} into {export_to}")


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
    port: Annotated[int, Option(min=0, max=65535, help="0: a free one.")] = 8321,
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
        list[str] | None, Option("-S", metavar="section.key=value", help="Repeatable.")
    ] = None,
    retries: Annotated[int, Option(min=0, help="Of a failed run, which resumes.")] = 0,
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
        Text, Option(help="Of --cron, such as Europe/Paris. Default: this machine's.")
    ] = None,
) -> None:
    """Start that flow from the UI, or on a schedule."""
    from pipeline.live.server import Server

    Server.need(Path.cwd())
    from pipeline.live.flow import serve

    serve(targets or [], cron, timezone)


@mano.command("import")
def mano_import(
    source: Annotated[Path, Argument(help="A pickle, or the unpacked download.")],
    out: Annotated[File, Option(help="Default: beside the pickles.")] = None,
) -> None:
    """Read the official MANO_RIGHT.pkl and MANO_LEFT.pkl."""
    from pipeline.mano_import.mano_import import import_mano

    print("\n".join(import_mano(source, out)))


@data.command("verify")
def data_verify(
    ctx: Context,
    root: Annotated[File, Argument(help="Default: data.root of params.yaml.")] = None,
    sample: Annotated[
        int, Option(min=0, metavar="N", help="Photos opened of every camera folder.")
    ] = 1,
    every: Annotated[bool, Option("--all", help="Open every photo.")] = False,
) -> int:
    """Check a download: what is missing, damaged, or not of one version.

    One line a finding: ok, note, or FAIL with the remedy. Exit code 2 on a FAIL.
    """
    from pipeline.data.verify import check

    each = None if every else sample
    return check(_params(ctx), root, each=each, write_line=lambda line: print(line, flush=True))


@data.command("inspect")
def data_inspect(
    ctx: Context,
    split: str = "train",
    batch: Annotated[int, Option(min=1)] = 64,
    out: Path = Path("work/inspect.png"),
    stage: Annotated[Literal["pretrain", "pose"], Option(help="Whose augmentation.")] = "pose",
    augmented: Annotated[bool, Option(help="Of train.")] = True,
) -> None:
    """Draw what the loader feeds the network."""
    from pipeline.data.inspect import inspect

    lines = inspect(
        _params(ctx), stage=stage, split=split, batch=batch, augmented=augmented, out=out
    )
    print("\n".join(lines))


@data.command("rejects")
def data_rejects(ctx: Context, out: Path = Path("work/rejects.png")) -> None:
    """Draw one of each kind of unused annotation."""
    from pipeline.data.rejects import rejects

    print("\n".join(rejects(_params(ctx), out)))


@data.command("faults")
def data_faults(
    ctx: Context,
    out: Annotated[Path, Option(metavar="FILE.html")] = Path("work/faults.html"),
    photos: Annotated[int, Option(min=0, metavar="N", help="To open, at most.")] = 20_000,
    top: Annotated[int, Option(min=1, metavar="N", help="Pictures of each kind.")] = 24,
) -> None:
    """Rank annotations that may be wrong, with pictures."""
    from pipeline.faults.find_faults import find_faults

    print("\n".join(find_faults(_params(ctx), out=out, photos=photos, top=top)))


@data.command("exclude")
def data_exclude(
    ctx: Context,
    choices: Annotated[
        list[str], Argument(metavar="KIND[:RANKS]...", help="Such as dark_photo second_hand:1-12.")
    ],
    all_splits: Annotated[
        bool, Option("--all-splits", help="Of validation and test people too.")
    ] = False,
) -> None:
    """Leave out what data faults proposes, or its first ranks."""
    from pipeline.faults.accept import accept
    from pipeline.faults.find_faults import RANKING

    exclusions = Path(_params(ctx).ingest.exclusions)
    print("\n".join(accept(RANKING, exclusions, choices, all_splits=all_splits)))


@remote.command("add")
def remote_add(
    name: str,
    url: Annotated[
        Text, Argument(help="A folder, ssh://HOST/FOLDER or s3://BUCKET/PREFIX.")
    ] = None,
    user: Annotated[Text, Option(help="SSH: who you are there.")] = None,
    keyfile: Annotated[File, Option(help="SSH: your key; default: in ~/.ssh.")] = None,
    port: Annotated[int | None, Option(help="SSH: default 22.")] = None,
    known_hosts: Annotated[File, Option(help="SSH: keys of hosts besides ~/.ssh's.")] = None,
    endpoint_url: Annotated[Text, Option(help="S3: address of a server that is not AWS.")] = None,
    profile: Annotated[Text, Option(help="S3: section of ~/.aws/credentials.")] = None,
    default: Annotated[bool, Option("--default", help="dvc push and pull use this one.")] = False,
) -> None:
    """Check a remote, and configure it if it works."""
    from pipeline.remote.remote import Credentials, add

    for line in add(
        name,
        url,
        root=Path.cwd(),
        credentials=Credentials(user, keyfile, profile),
        port=port,
        endpoint=endpoint_url,
        known_hosts=known_hosts,
        default=default,
    ):
        print(line)


@remote.command("check")
def remote_check(
    name: Annotated[Text, Argument(help="Default: the default remote.")] = None,
    deep: Annotated[bool, Option("--deep", help="Read and hash every object.")] = False,
) -> None:
    """Write, read back and delete a tiny object."""
    from pipeline.remote.remote import check

    for line in check(name, root=Path.cwd(), deep=deep):
        print(line, flush=True)


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
