"""The time zone that a schedule is meant in: the machine's, unless another one is named.

Prefect would take UTC.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from handpose.errors import HandPoseError

LOCALTIME = Path("/etc/localtime")
NAMED = Path("/etc/timezone")  # Debian's
DATABASE = "zoneinfo/"
"""In the path of a file of the time zone database, before the zone's name."""


class TimezoneError(HandPoseError):
    """A time zone is not known."""


def check_timezone(name: str) -> str:
    """The name of a time zone, if there is one of that name.

    Raises:
        TimezoneError: there is none.
    """
    if not _is_known(name):
        alike = sorted(zone for zone in available_timezones() if zone.lower() == name.lower())
        alike += sorted(
            zone
            for zone in available_timezones()
            if zone.lower().endswith(f"/{name.lower().replace(' ', '_')}")
        )
        meant = f"; did you mean {alike[0]}?" if alike else ""
        raise TimezoneError(
            f"--timezone {name!r}: is not a time zone; expected a name such as Europe/Paris{meant}"
        )
    return name


def machine_timezone() -> str:
    """The name of this machine's time zone: of TZ, or of the system.

    Raises:
        TimezoneError: it has no name in the time zone database, so a schedule cannot have it.
    """
    text = os.environ.get("TZ")
    if text is not None:
        name = text.removeprefix(":")
        name = name.rpartition(DATABASE)[2] if name.startswith("/") else name or "UTC"
        if _is_known(name):
            return name
        raise TimezoneError(
            f"TZ is {text!r}, which is not the name of a time zone, so --cron would be in an "
            "unknown one; name it: --timezone Europe/Paris"
        )
    linked = str(LOCALTIME.resolve()).rpartition(DATABASE)[2] if LOCALTIME.is_symlink() else ""
    written = NAMED.read_text("utf-8").strip() if NAMED.is_file() else ""
    for name in (linked, written):
        if name and _is_known(name):
            return name
    if not LOCALTIME.exists() or _is_utc(LOCALTIME):
        return "UTC"
    raise TimezoneError(
        f"{LOCALTIME} does not say which time zone it is, so --cron would be in an unknown one; "
        "name it: --timezone Europe/Paris"
    )


def now_in(zone: str) -> str:
    """The time there, such as 14:05 (UTC+09:00)."""
    now = datetime.now(ZoneInfo(zone))
    offset = now.strftime("%z")
    return f"{now:%H:%M} (UTC{offset[:3]}:{offset[3:5]})"


def _is_known(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # a path upwards, a folder of zones
        return False
    return True


def _is_utc(path: Path) -> bool:
    with path.open("rb") as stream:
        zone = ZoneInfo.from_file(stream)
    days = (datetime(2026, month, 1, tzinfo=UTC) for month in range(1, 13))
    return not any(day.astimezone(zone).utcoffset() for day in days)
