from __future__ import annotations

import re
import shutil
from importlib import resources
from pathlib import Path
from zoneinfo import TZPATH

import pytest

from pipeline.live import flow, timezone
from pipeline.live.flow import FlowError, serve
from pipeline.live.timezone import TimezoneError, check_timezone, machine_timezone, now_in


@pytest.fixture
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine that names no time zone anywhere."""
    monkeypatch.delenv("TZ", raising=False)
    monkeypatch.setattr(timezone, "LOCALTIME", tmp_path / "localtime")
    monkeypatch.setattr(timezone, "NAMED", tmp_path / "timezone")
    return tmp_path


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Asia/Tokyo", "Asia/Tokyo"),
        (":Europe/Paris", "Europe/Paris"),
        ("/usr/share/zoneinfo/America/New_York", "America/New_York"),
        ("UTC", "UTC"),
        ("", "UTC"),
    ],
)
def test_tz_names_the_zone(
    system: Path, monkeypatch: pytest.MonkeyPatch, text: str, name: str
) -> None:
    (system / "timezone").write_text("Asia/Seoul\n")
    monkeypatch.setenv("TZ", text)
    assert machine_timezone() == name


@pytest.mark.parametrize("text", ["JST-9", "CET-1CEST,M3.5.0,M10.5.0/3", "/elsewhere", "Nowhere"])
def test_a_tz_without_a_name_is_no_guess(
    system: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setenv("TZ", text)
    with pytest.raises(TimezoneError, match=re.escape(f"TZ is {text!r}") + ".*--timezone Europe"):
        machine_timezone()


def test_the_system_names_it_by_a_link_or_in_a_file(system: Path) -> None:
    assert machine_timezone() == "UTC", "nothing is set"
    (system / "timezone").write_text("Asia/Seoul\n")
    assert machine_timezone() == "Asia/Seoul"
    (system / "localtime").symlink_to("/usr/share/zoneinfo/Asia/Tokyo")
    assert machine_timezone() == "Asia/Tokyo"


def test_a_copied_file_without_a_name_is_utc_or_unknown(system: Path) -> None:
    databases = [Path(folder) for folder in TZPATH if (Path(folder) / "Asia" / "Tokyo").is_file()]
    if not databases:
        databases = [Path(str(resources.files("tzdata"))) / "zoneinfo"]
    shutil.copy(databases[0] / "UTC", system / "localtime")
    assert machine_timezone() == "UTC"
    shutil.copy(databases[0] / "Asia" / "Tokyo", system / "localtime")
    with pytest.raises(TimezoneError, match=r"does not say which time zone it is.*--timezone"):
        machine_timezone()


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("Tokyo", "did you mean Asia/Tokyo?"),
        ("asia/tokyo", "did you mean Asia/Tokyo?"),
        ("new york", "did you mean America/New_York?"),
        ("JST-9", "expected a name such as Europe/Paris"),
        ("../../etc/passwd", "expected a name such as Europe/Paris"),
        ("", "expected a name such as Europe/Paris"),
    ],
)
def test_a_zone_that_is_none_is_refused(name: str, meant: str) -> None:
    with pytest.raises(TimezoneError, match=re.escape(meant)):
        check_timezone(name)


def test_now_has_the_offset() -> None:
    assert re.fullmatch(r"\d\d:\d\d \(UTC\+09:00\)", now_in("Asia/Tokyo"))


def test_a_schedule_is_in_the_zone_that_is_printed(
    system: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    served: list[dict[str, object]] = []
    monkeypatch.setattr(
        type(flow.repro), "serve", lambda self, **options: served.append(options), raising=True
    )
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    serve([], "0 3 * * *")
    assert getattr(served[-1]["schedule"], "timezone", None) == "Asia/Tokyo"
    assert "in the time of Asia/Tokyo, now " in capsys.readouterr().out
    serve([], "0 3 * * *", "Europe/Paris")
    assert getattr(served[-1]["schedule"], "timezone", None) == "Europe/Paris"
    serve([], None)
    assert served[-1]["schedule"] is None
    with pytest.raises(FlowError, match="--timezone is that of --cron"):
        serve([], None, "Europe/Paris")
    with pytest.raises(TimezoneError):
        serve([], "0 3 * * *", "Mars")
