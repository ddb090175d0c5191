"""The command line: `handpose COMMAND`, the same as `python -m pipeline COMMAND`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from handpose.errors import HandPoseError


def describe(args: argparse.Namespace) -> None:
    """Print the resolved architecture, loss weights and schedules."""
    from pipeline.describe import description

    print(description(args.params))


def gestures(args: argparse.Namespace) -> None:
    """Draw every gesture from two views on one sheet."""
    from handpose.data.contact_sheet import contact_sheet
    from handpose.hand.mano import Mano
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
    from pipeline.profiles import configure as lay
    from stages.params import load_params

    changed = lay(args.profile, args.params)
    load_params(args.params)
    print("\n".join(changed) or f"{args.params} already has every value of {args.profile}")


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    top = argparse.ArgumentParser(prog="handpose", description=__doc__)
    top.add_argument(
        "--params", type=Path, default=Path("params.yaml"), help="default: %(default)s"
    )
    commands = top.add_subparsers(required=True, metavar="COMMAND")

    command = commands.add_parser("describe", help="print networks, losses and schedules")
    command.set_defaults(run=describe)

    command = commands.add_parser("gestures", help="draw every gesture from two views")
    command.add_argument("--out", type=Path, default=Path("results/gestures.png"))
    command.set_defaults(run=gestures)

    labels = commands.add_parser("labels", help="the gesture map").add_subparsers(
        required=True, metavar="ACTION"
    )
    command = labels.add_parser("check", help="check labels/gesture_map.csv")
    command.set_defaults(run=labels_check)

    command = commands.add_parser("configure", help="write a profile's values into params.yaml")
    command.add_argument("--profile", required=True, help="tiny or paper")
    command.set_defaults(run=configure)
    return top


def main(argv: list[str] | None = None) -> int:
    """Exit code: 0, or 2 with a plain message for what the user can mend."""
    args = parser().parse_args(argv)
    try:
        args.run(args)
    except HandPoseError as error:
        print(f"handpose: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
