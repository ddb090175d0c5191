"""The command line: `handpose COMMAND`, the same as `python -m pipeline COMMAND`."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from handpose.errors import HandPoseError
from pipeline import actions as does


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    top = argparse.ArgumentParser(prog="handpose", description=__doc__)
    top.add_argument(
        "--params", type=Path, default=Path("params.yaml"), help="default: %(default)s"
    )
    commands = top.add_subparsers(required=True, metavar="COMMAND")

    command = commands.add_parser("describe", help="print networks, losses and schedules")
    command.set_defaults(run=does.describe)

    command = commands.add_parser("gestures", help="draw every gesture from two views")
    command.add_argument("--out", type=Path, default=Path("results/gestures.png"))
    command.set_defaults(run=does.gestures)

    labels = commands.add_parser("labels", help="the gesture map").add_subparsers(
        required=True, metavar="ACTION"
    )
    command = labels.add_parser("check", help="check labels/gesture_map.csv")
    command.set_defaults(run=does.labels_check)

    command = commands.add_parser("configure", help="write a profile's values into params.yaml")
    command.add_argument("--profile", required=True, help="interhand26m, demo (default) or tiny")
    command.add_argument("--data-root", type=Path, help="an InterHand2.6M download")
    command.add_argument("--mano", type=Path, help="folder with MANO_RIGHT.npz")
    command.set_defaults(run=does.configure)

    command = commands.add_parser("plan", help="what dvc repro would run, and why")
    command.add_argument("targets", nargs="*", metavar="STAGE", help="default: every stage")
    command.set_defaults(run=does.plan)

    command = commands.add_parser("compare", help="what moved since another revision's results")
    command.add_argument("rev", nargs="?", default="HEAD", help="default: %(default)s")
    command.add_argument("--all", action="store_true", help="every gesture, moved or not")
    command.add_argument("--out", type=Path, help="a picture too: FILE.png")
    command.set_defaults(run=does.compare)

    _prefect(commands)

    mano = commands.add_parser("mano", help="the licensed hand model").add_subparsers(
        required=True, metavar="ACTION"
    )
    command = mano.add_parser("import", help="read the official MANO_RIGHT.pkl and MANO_LEFT.pkl")
    command.add_argument("source", type=Path, help="a pickle, or the unpacked download")
    command.add_argument("--out", type=Path, help="default: beside the pickles")
    command.set_defaults(run=does.mano_import)

    _data(commands.add_parser("data", help="is the download whole, what does training see"))

    _remote(commands.add_parser("remote", help="where dvc push keeps results"))

    command = commands.add_parser(
        "doctor",
        help="check the machine, the clone and its settings",
        description="One line a check: ok, note, or FAIL with the remedy. Exit code 2 on a FAIL.",
    )
    command.add_argument("--cache", action="store_true", help="hash every object of DVC's cache")
    command.set_defaults(run=does.doctor)
    return top


def _prefect(commands: Any) -> None:
    """Commands that have to do with Prefect."""
    command = commands.add_parser("ui", help="a Prefect server here, in which runs are seen")
    command.add_argument(
        "--port",
        type=_from(1, 65534),  # the results are served at the next one
        default=4200,
        help="default: %(default)s",
    )
    command.set_defaults(run=does.ui)

    command = commands.add_parser("run", help="one dvc repro as a Prefect flow")
    command.add_argument("targets", nargs="*", metavar="STAGE", help="default: all")
    command.add_argument(
        "-S",
        dest="set",
        action="append",
        default=[],
        metavar="section.key=value",
        help="repeatable",
    )
    command.add_argument(
        "--retries", type=_from(0), default=0, help="of a failed run, which goes on"
    )
    command.set_defaults(run=does.run)

    command = commands.add_parser("serve", help="start that flow from the UI, or on a schedule")
    command.add_argument("targets", nargs="*", metavar="STAGE", help="default: all")
    command.add_argument("--cron", help='such as "0 3 * * *": every night at three')
    command.set_defaults(run=does.serve)


def _from(lowest: int, highest: int | None = None) -> Callable[[str], int]:
    """Whole numbers from `lowest` to `highest`; else argparse says which option is wrong."""

    def number(text: str) -> int:
        if int(text) < lowest:
            raise argparse.ArgumentTypeError(f"{text} is less than {lowest}")
        if highest is not None and int(text) > highest:
            raise argparse.ArgumentTypeError(f"{text} is more than {highest}")
        return int(text)

    return number


def _data(data: argparse.ArgumentParser) -> None:
    """Options of `handpose data`."""
    actions = data.add_subparsers(required=True, metavar="ACTION")
    command = actions.add_parser(
        "verify",
        help="check a download: what is missing, damaged, or not of one version",
        description="One line a finding: ok, note, or FAIL with the remedy. Exit code 2 on a FAIL.",
    )
    command.add_argument("root", nargs="?", type=Path, help="default: data.root of params.yaml")
    command.add_argument(
        "--sample",
        type=_from(0),
        default=1,
        metavar="N",
        help="photos opened of every camera folder",
    )
    command.add_argument("--all", action="store_true", help="open every photo")
    command.set_defaults(run=does.data_verify)

    command = actions.add_parser("inspect", help="draw what the loader feeds the network")
    command.add_argument("--split", default="train", help="default: %(default)s")
    command.add_argument("--batch", type=_from(1), default=64, help="default: %(default)s")
    command.add_argument("--out", type=Path, default=Path("work/inspect.png"))
    command.add_argument(
        "--stage", choices=("pretrain", "pose"), default="pose", help="whose augmentation"
    )
    command.add_argument(
        "--augmented", action=argparse.BooleanOptionalAction, default=True, help="of train"
    )
    command.set_defaults(run=does.data_inspect)

    command = actions.add_parser("rejects", help="draw one of each kind of unused annotation")
    command.add_argument("--out", type=Path, default=Path("work/rejects.png"))
    command.set_defaults(run=does.data_rejects)


def _remote(remote: argparse.ArgumentParser) -> None:
    """Options of `handpose remote`."""
    actions = remote.add_subparsers(required=True, metavar="ACTION")
    command = actions.add_parser("add", help="check a remote and write it down")
    command.add_argument("name")
    command.add_argument("url", nargs="?", help="a folder, ssh://HOST/FOLDER or s3://BUCKET/PREFIX")
    command.add_argument("--user", help="SSH: who you are there")
    command.add_argument("--keyfile", type=Path, help="SSH: your key; default: in ~/.ssh")
    command.add_argument("--port", type=int, help="SSH: default 22")
    command.add_argument("--known-hosts", type=Path, help="SSH: keys of hosts besides ~/.ssh's")
    command.add_argument("--endpoint-url", help="S3: address of a server that is not AWS")
    command.add_argument("--profile", help="S3: section of ~/.aws/credentials")
    command.add_argument("--default", action="store_true", help="dvc push and pull take this one")
    command.set_defaults(run=does.remote_add)

    command = actions.add_parser("check", help="write, read back and delete a tiny object")
    command.add_argument("name", nargs="?", help="default: the default remote")
    command.add_argument("--deep", action="store_true", help="read and hash every object there")
    command.set_defaults(run=does.remote_check)


def main(argv: list[str] | None = None) -> int:
    """Exit code: 0, or 2 with a plain message for what the user can mend."""
    args = parser().parse_args(argv)
    try:
        code = int(args.run(args) or 0)
        sys.stdout.flush()
        return code
    except BrokenPipeError:  # the reader, `head` say, has seen enough
        os.dup2(
            os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno()
        )  # for what is flushed at exit
        return 128 + signal.SIGPIPE
    except HandPoseError as error:
        print(f"handpose: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        if not error.filename:  # ours, and keeps its traceback
            raise
        told = f"{error.filename}: {error.strerror}"
        print(f"handpose: {told}; mend its permission, or name another place", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("handpose: stopped by Ctrl-C", file=sys.stderr)
        return 128 + signal.SIGINT


if __name__ == "__main__":
    sys.exit(main())
