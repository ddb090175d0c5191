"""What each command of `handpose` does with its arguments; the work itself is elsewhere.

Imports stand where they are needed: a command must not wait for what only others use.
"""

from __future__ import annotations

import argparse
from pathlib import Path


def describe(args: argparse.Namespace) -> None:
    """Print the resolved architecture, loss weights and schedules."""
    from pipeline.describe.describe import description

    print(description(args.params))


def gestures(args: argparse.Namespace) -> None:
    """Draw every gesture from two views on one sheet."""
    from handpose.hand.mano import Mano
    from handpose.synthetic.gallery import contact_sheet
    from stages.params import load_params

    contact_sheet(Mano.load(load_params(args.params).hand.mano), args.out)
    print(f"wrote {args.out}")


def labels_check(args: argparse.Namespace) -> None:
    """Read the gesture map; every fault is told with its line and remedy."""
    from handpose.gestures import GestureTable
    from stages.params import load_params

    print(GestureTable.read(Path(load_params(args.params).label.map)).summary())


def configure(args: argparse.Namespace) -> None:
    """Write a profile's values into params.yaml."""
    from pipeline.profiles.configure import configure as lay

    changed = lay(args.profile, args.params, data_root=args.data_root, mano=args.mano)
    print("\n".join(changed) or f"{args.params} already has every value of {args.profile}")


def ui(args: argparse.Namespace) -> None:
    """Run a Prefect server for this clone."""
    from pipeline.dag import read_dag
    from pipeline.live.ui import serve

    read_dag(Path.cwd())  # elsewhere nobody would find the server
    serve(Path.cwd(), args.port, lambda line: print(line, flush=True))


def run(args: argparse.Namespace) -> int:
    """One `dvc repro` as a Prefect flow."""
    from pipeline.live.server import Server

    Server.need(Path.cwd())
    from pipeline.live.flow import start  # reads the settings that `need` made

    return start(args.targets, args.set, args.retries)


def serve(args: argparse.Namespace) -> None:
    """Let the UI, or a schedule, start that flow."""
    from pipeline.live.server import Server

    Server.need(Path.cwd())
    from pipeline.live.flow import serve as serve_flow

    serve_flow(args.targets, args.cron)


def mano_import(args: argparse.Namespace) -> None:
    """Read the official MANO pickles, check and repair them, and write plain files."""
    from pipeline.mano_import.mano_import import import_mano

    print("\n".join(import_mano(args.source, args.out)))


def data_verify(args: argparse.Namespace) -> int:
    """Is the download whole? 2 if something is to be mended."""
    from pipeline.data.verify import check
    from stages.params import load_params

    each = None if args.all else args.sample
    return check(
        load_params(args.params), args.root, each=each, say=lambda line: print(line, flush=True)
    )


def data_inspect(args: argparse.Namespace) -> None:
    """Draw a batch as the network gets it, and tell how well batches are mixed."""
    from pipeline.data.inspect import inspect
    from stages.params import load_params

    lines = inspect(
        load_params(args.params),
        stage=args.stage,
        split=args.split,
        batch=args.batch,
        augmented=args.augmented,
        out=args.out,
    )
    print("\n".join(lines))


def data_rejects(args: argparse.Namespace) -> None:
    """Count the annotations that are not used, and draw one of each kind."""
    from pipeline.data.rejects import rejects
    from stages.params import load_params

    print("\n".join(rejects(load_params(args.params), args.out)))


def remote_add(args: argparse.Namespace) -> None:
    """Check a remote, and write it down if it works."""
    from pipeline.remote.remote import Personal, add

    for line in add(
        args.name,
        args.url,
        root=Path.cwd(),
        personal=Personal(args.user, args.keyfile, args.profile),
        port=args.port,
        endpoint=args.endpoint_url,
        known_hosts=args.known_hosts,
        default=args.default,
    ):
        print(line)


def remote_check(args: argparse.Namespace) -> None:
    """Probe a remote that is configured."""
    from pipeline.remote.remote import check

    for line in check(args.name, root=Path.cwd(), deep=args.deep):
        print(line, flush=True)


def doctor(args: argparse.Namespace) -> int:
    """One line for each thing that a run needs."""
    from pipeline.doctor.doctor import examine

    return examine(Path.cwd(), cache=args.cache)


def plan(args: argparse.Namespace) -> int:
    """What `dvc repro` would do, and why; 2 if it would stop at a fault."""
    from pipeline.plan.plan import plan as planned

    found = planned(Path.cwd(), args.targets)
    print("\n".join(found.lines))
    return 2 if found.stops else 0


def compare(args: argparse.Namespace) -> None:
    """What moved since a git revision's results."""
    from pipeline.compare.compare import compare as compared

    print("\n".join(compared(Path.cwd(), args.rev, whole=args.all, picture=args.out)))
