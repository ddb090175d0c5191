"""The commands `handpose remote ...`: arguments, and what they print."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from typer import Argument, Option


def add_to(app: typer.Typer) -> None:
    """Add the commands, in the order of the help."""
    app.command("add")(add_)
    app.command("check")(check_)


def add_(
    name: Annotated[str, Argument(metavar="NAME", help="Name of the remote.")],
    url: Annotated[
        str | None,
        Argument(metavar="URL", help="A folder, ssh://HOST/FOLDER or s3://BUCKET/PREFIX."),
    ] = None,
    user: Annotated[str | None, Option(help="SSH: user name there.")] = None,
    keyfile: Annotated[Path | None, Option(help="SSH: your key; default: in ~/.ssh.")] = None,
    port: Annotated[int | None, Option(help="SSH: default 22.")] = None,
    known_hosts: Annotated[Path | None, Option(help="SSH: keys of hosts besides ~/.ssh's.")] = None,
    endpoint_url: Annotated[
        str | None, Option(help="S3: address of a server that is not AWS.")
    ] = None,
    profile: Annotated[str | None, Option(help="S3: section of ~/.aws/credentials.")] = None,
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


def check_(
    name: Annotated[
        str | None, Argument(metavar="NAME", help="Name of the remote. Default: the default one.")
    ] = None,
    deep: Annotated[bool, Option("--deep", help="Read and hash every object.")] = False,
) -> None:
    """Write, read back and delete a tiny object."""
    from pipeline.remote.remote import check

    for line in check(name, root=Path.cwd(), deep=deep):
        print(line, flush=True)
