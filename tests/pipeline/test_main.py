"""The command line itself: faults that no command names, exit codes, help and completion."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.__main__ import RUN_DVC, main
from pipeline.describe import describe
from pipeline.profiles.configure import profiles

ROOT = Path(__file__).parents[2]


def fails_with(error: BaseException, monkeypatch: pytest.MonkeyPatch) -> int:
    def fail(_: Path) -> str:
        raise error

    monkeypatch.setattr(describe, "description", fail)
    return main(["describe"])


def handpose(
    *words: str, folder: Path = ROOT, shell: bool = False, **environ: str
) -> subprocess.CompletedProcess[str]:
    """A command in a process of its own; `shell`: with bash as its parent, for shell detection."""
    command = [sys.executable, "-m", "pipeline", *words]
    return subprocess.run(
        ["bash", "-c", '"$@"; exit $?', "bash", *command] if shell else command,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environ},
        capture_output=True,
        text=True,
        timeout=120,
    )


def completed(*words: str, folder: Path = ROOT) -> list[str]:
    """What bash offers after these words, the last of which is incomplete."""
    done = handpose(
        folder=folder,
        _HANDPOSE_COMPLETE="complete_bash",
        COMP_WORDS=" ".join(["handpose", *words]),
        COMP_CWORD=str(len(words)),
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.split()


def test_a_file_that_cannot_be_used_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fails_with(PermissionError(13, "Permission denied", "params.yaml"), monkeypatch) == 2
    expected = "handpose: params.yaml: Permission denied; fix its permission, or name another path"
    assert capsys.readouterr().err == expected + "\n"


def test_a_name_that_is_not_utf_8_is_printed() -> None:
    done = handpose("fit", "bad\udcff.npy", PYTHONIOENCODING="utf-8:strict")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(r"handpose: bad\udcff.npy: not found; ")


def test_a_file_in_place_of_a_folder_and_the_like_are_no_matter_of_permission(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file, folder, long = tmp_path / "file", tmp_path / "folder", "x" * 300
    file.touch()
    folder.mkdir()
    (tmp_path / "link").symlink_to("nowhere")
    for attempt, wording in (
        (lambda: file.mkdir(), f"{file}: is a file, expected a folder; name another path"),
        (
            lambda: (file / "a" / "b").touch(),
            f"{file}: is a file, expected a folder; name another path",
        ),
        (lambda: folder.write_text(""), f"{folder}: is a folder, expected a file; name another"),
        (lambda: os.replace(file, folder), f"{folder}: is a folder, expected a file; name"),
        (lambda: os.replace(folder, file), f"{file}: is a file, expected a folder; name"),
        (lambda: (tmp_path / "link").mkdir(), "link: File exists; name another path"),
        (lambda: Path(long).touch(), f"{long}: the name is too long; give a shorter one"),
    ):
        with pytest.raises(OSError) as raised:
            attempt()
        assert fails_with(raised.value, monkeypatch) == 2
        message = capsys.readouterr().err
        assert wording in message and "permission" not in message


def test_a_full_disk_is_no_defect_of_ours_though_it_names_no_file(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    full = OSError(errno.ENOSPC, "No space left on device")
    assert fails_with(full, monkeypatch) == 2
    message = capsys.readouterr().err
    assert message.startswith("handpose: No space left on device. Free space (`df -h .`")
    read_only = OSError(errno.EROFS, "Read-only file system", "out/a.png")
    assert fails_with(read_only, monkeypatch) == 2
    message = capsys.readouterr().err
    assert message.startswith("handpose: out/a.png: Read-only file system. The file system is")


@pytest.mark.parametrize("command", RUN_DVC)
def test_other_parameters_are_refused_where_dvc_would_not_read_them(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--params", "mine.yaml", command]) == 2
    expected = f"--params mine.yaml: DVC reads params.yaml, and so does {command}; change that file"
    assert expected in capsys.readouterr().err


def test_ctrl_c_is_the_users_wish_and_a_mistake_of_ours_keeps_its_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fails_with(KeyboardInterrupt(), monkeypatch) == 130
    assert capsys.readouterr().err == "handpose: stopped by Ctrl-C\n"
    with pytest.raises(OSError, match="ours"):
        fails_with(OSError("ours"), monkeypatch)
    with pytest.raises(KeyError, match="joint"):
        fails_with(KeyError("joint"), monkeypatch)


@pytest.mark.parametrize("words", [["labels", "check"], ["data", "inspect", "--help"]])
def test_a_closed_pipe_ends_a_command_silently(words: list[str]) -> None:
    """As in `handpose compare | head -1`."""
    reader, writer = os.pipe()
    os.close(reader)
    command = subprocess.Popen(
        [sys.executable, "-m", "pipeline", *words],
        cwd=ROOT,
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.close(writer)
    _, errors = command.communicate(timeout=60)
    assert (command.returncode, errors) == (128 + 13, "")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["descrieb"], "No such command 'descrieb'. Did you mean 'describe'?"),
        (["data", "verfy"], "No such command 'verfy'. Did you mean 'verify'?"),
        (["ui", "--prt", "1"], "No such option: --prt (Possible options: --port)"),
        (["ui", "--port", "0"], "Invalid value for '--port'"),
        (["run", "--retries", "-1"], "Invalid value for '--retries'"),
        (["data", "inspect", "--stage", "shard"], "not one of 'pretrain', 'pose'"),
        (["configure"], "Missing option '--profile'"),
    ],
)
def test_a_mistyped_line_exits_2_and_names_what_was_meant(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    output = capsys.readouterr()
    assert message in output.err
    assert output.out == ""


def test_no_command_at_all_shows_the_help_and_exits_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert (
        "describe    Print networks, losses and schedules, or draw them." in capsys.readouterr().err
    )


def test_help_is_plain_text_and_waits_for_no_heavy_import() -> None:
    heavy = ["torch", "numpy", "dvc", "prefect", "pydantic", "yaml", "rich"]
    lines = ["import sys", "from pipeline.__main__ import main", "main(['--help'])"]
    lines.append(f"sys.exit(str([name for name in {heavy} if name in sys.modules]))")
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(lines)], cwd=ROOT, capture_output=True, text=True
    )
    assert done.stderr.strip() == "[]"
    assert done.stdout.isascii()
    assert done.stdout.startswith("Usage: handpose [OPTIONS] COMMAND [ARGS]...\n")


def test_bash_completes_commands_stages_profiles_and_choices() -> None:
    assert completed("rem") == ["remote"]
    everything = ["verify", "inspect", "rejects", "faults", "exclude"]
    assert completed("data", "") == everything
    assert completed("run", "p") == ["pretrain", "pose", "pose_scratch"]
    assert completed("plan", "evaluate", "la") == ["label"]
    assert completed("configure", "--profile", "") == profiles()
    assert completed("data", "inspect", "--stage", "") == ["pretrain", "pose"]


def test_completion_is_silent_where_no_stages_are_known(tmp_path: Path) -> None:
    assert completed("run", "p", folder=tmp_path) == []


def test_completion_is_installed_for_bash(tmp_path: Path) -> None:
    done = handpose("--install-completion", shell=True, HOME=str(tmp_path))
    assert done.returncode == 0, done.stderr
    script = tmp_path / ".bash_completions" / "handpose.sh"
    assert "complete -o default -F _handpose_completion handpose" in script.read_text()
    assert str(script) in (tmp_path / ".bashrc").read_text()
