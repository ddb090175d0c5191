"""`handpose compare` between a commit and the workspace, on made-up results."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from dvc.repo import Repo
from scipy import stats

from handpose.render.tiles import PageError
from pipeline.compare.compare import compare, gestures, headline
from pipeline.compare.paired import ERRORS, SCRATCH, Pairs
from pipeline.compare.snapshot import SnapshotError, at_revision, in_workspace
from stages.paths import LABELS, PREDICTIONS, SAMPLES
from tests.pipeline.made_up import evaluation, labels

ROOT = Path(__file__).parents[3]

DVC_YAML = f"""
stages:
  all:
    cmd: cp made/samples {SAMPLES} && cp made/labels {LABELS} && cp made/predictions {PREDICTIONS}
    deps: [made]
    params: [pretrain, pose, label.handedness]
    outs: [{SAMPLES}, {LABELS}, {PREDICTIONS}]
"""


class Clone:
    """Where results are made by hand."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for folder in ("made", "results", "data/labels", "data/ingest"):
            (root / folder).mkdir(parents=True)
        shutil.copy(ROOT / "params.yaml", root)
        (root / "dvc.yaml").write_text(DVC_YAML)
        (root / "results/metrics.json").write_text(
            json.dumps({"protocols": {"wrist_mpjpe_mm": "(b) wrists", "pa_mpjpe_mm": "(d) PA"}})
        )
        self.run("git", "init", "-q")
        Repo.init(str(root))

    def run(self, *words: str) -> None:
        subprocess.run(words, cwd=self.root, check=True, capture_output=True)

    def make(self, predictions: pa.Table, labels: pa.Table, samples: str = "all") -> None:
        pq.write_table(predictions, self.root / "made/predictions")
        pq.write_table(labels, self.root / "made/labels")
        (self.root / "made/samples").write_text(samples)
        with contextlib.chdir(self.root):
            Repo(str(self.root)).reproduce()

    def commit(self) -> None:
        who = ("-c", "user.name=test", "-c", "user.email=test@example.org")
        self.run("git", "add", "dvc.lock", "dvc.yaml")
        self.run("git", *who, "commit", "-qm", "results")

    def text(self, rev: str = "HEAD") -> str:
        return "\n".join(compare(self.root, rev))


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One result, committed."""
    clone = Clone(tmp_path_factory.mktemp("recorded"))
    clone.make(evaluation(), labels())
    clone.commit()
    return clone.root


@pytest.fixture
def clone(recorded: Path, tmp_path: Path) -> Clone:
    clone = Clone.__new__(Clone)
    clone.root = Path(shutil.copytree(recorded, tmp_path / "clone", symlinks=True))
    return clone


def test_what_moved_is_reported_per_gesture_with_the_change_of_class(clone: Clone) -> None:
    coarse = np.where(np.asarray(evaluation()["sequence"]) == "0001_a", 7, 1)
    clone.make(evaluation(coarse=coarse), labels(**{"0001_a": ("fist", "fist")}))
    text = clone.text()
    assert "on 60 test images that both have" in text
    assert "Changed class (1 -> 2 coarse, 2 -> 2 fine classes" in text
    assert "  0001_a  open / open_wide -> fist / fist" in text
    assert "0001_a *      " in text, "folders that changed class are marked"
    assert "Of 2 folders about 0.1 would look changed by chance" in text
    assert "Changed, after Holm's adjustment  images  before  after  change" in text
    row = "0001_a *                              20   1.000  0.000  -1.000  -1.000 [-1.000, -1.000]"
    assert row in text
    assert "MPJPE in mm: (b) wrists" in text
    assert "Intervals are Student's 95 % over the 4 people" in text
    assert "another seed would move these numbers, too" in text


FOLDERS = np.array([f"{k:04d}_gesture" for k in range(90)])


def no_change(rng: np.random.Generator, people: int) -> Pairs:
    """90 folders of three images a person, whose numbers vary from before to after by chance."""
    folder, person, _ = (k.ravel() for k in np.indices((len(FOLDERS), people, 3)))
    count = len(folder)

    def side() -> dict[str, np.ndarray]:
        errors = {
            m.column: 30
            + rng.normal(0, 0.5, people)[person]
            + rng.normal(0, 1, (len(FOLDERS), people))[folder, person]
            + rng.normal(0, 1, count)
            for m in (*ERRORS, *SCRATCH)
        }
        return {
            "subject": person,
            "sequence": FOLDERS[folder],
            "kind": np.full(count, "gesture"),
            "coarse": np.ones(count, int),
            "fine": np.ones(count, int),
            "stage_1_coarse": (rng.random(count) < 0.4).astype(int),
            "stage_1_fine": (rng.random(count) < 0.4).astype(int),
            **errors,
        }

    return Pairs(side(), side(), 0, 0, seed=0)


@pytest.mark.parametrize("people", [4, 8])
def test_luck_is_seldom_claimed(people: int) -> None:
    """Without a true difference: the primary verdict, any of the others, any gesture's."""
    rng = np.random.default_rng(people)
    repeats = 100
    alarms = dict.fromkeys(("primary", "others", *range(4)), 0)
    for _ in range(repeats):
        pairs = no_change(rng, people)
        rows = list(headline(pairs))[2:]
        called = [row.endswith(("lower", "higher")) for row in rows]
        primary = next(k for k, row in enumerate(rows) if "(primary)" in row)
        alarms["primary"] += called.pop(primary)
        alarms["others"] += any(called)
        tables = "\n".join(gestures(pairs, set(), every=False)).split(", by gesture")[1:]
        for k, table in enumerate(tables):
            alarms[k] += "None remains after Holm" not in table
    limit = stats.binom.ppf(0.999, repeats, 0.05)
    assert all(count <= limit for count in alarms.values()), alarms


def test_what_changed_most_is_shown_without_a_claim() -> None:
    text = "\n".join(gestures(no_change(np.random.default_rng(0), 4), set(), every=False))
    first = text.split("full model, MPJPE, by gesture\n")[1].splitlines()
    assert first[0].startswith("Of 90 folders about 4.5 would look changed by chance (95 %")
    assert first[1] == (
        "None remains after Holm's adjustment: no change of a gesture can be claimed."
    )
    assert first[2].split() == [
        "Changed",
        "most,",
        "not",
        "claimed",
        "images",
        "before",
        "after",
        "change",
    ]
    assert "[" not in "\n".join(first[3:15]), "what is picked by its size has no interval"
    assert first[15] == "and 78 that changed less, or not at all: --all"


def test_every_gesture_has_its_interval_with_all() -> None:
    text = "\n".join(gestures(no_change(np.random.default_rng(0), 4), set(), every=True))
    assert all(text.count(name) == 4 for name in FOLDERS)
    assert text.count("[") == 4 * 90


def test_a_gesture_that_changed_stands_first() -> None:
    pairs = no_change(np.random.default_rng(0), 8)
    pairs.after["pretrained_pa_mpjpe_mm"][pairs.after["sequence"] == FOLDERS[5]] -= 15
    text = "\n".join(gestures(pairs, set(), every=False))
    table = text.split("full model, PA-MPJPE, by gesture\n")[1].splitlines()
    assert table[1].startswith("Changed, after Holm's adjustment")
    assert table[2].startswith(FOLDERS[5])
    assert table[3].startswith("Changed most, not claimed")


def test_equal_results_are_reported_and_how_to_keep_them(clone: Clone) -> None:
    text = clone.text()
    assert "Both are the same results" in text
    assert "git add dvc.lock" in text
    assert "No gesture folder changed class." in text


def test_equal_results_with_samples_that_have_no_number_are_reported_too(clone: Clone) -> None:
    """A frame without a fit has NaN, which equals nothing."""
    errors = np.where(np.arange(60) < 5, np.nan, 9.0)
    clone.make(evaluation(pretrained_pa_mpjpe_mm=errors), labels())
    assert "Both are the same results" not in clone.text()
    clone.run("git", "add", "dvc.lock")
    who = ("-c", "user.name=test", "-c", "user.email=test@example.org")
    clone.run("git", *who, "commit", "-qm", "recorded")
    assert "Both are the same results" in clone.text()


def test_with_one_person_there_is_no_interval(clone: Clone) -> None:
    clone.make(evaluation().slice(0, 15), labels())
    text = clone.text()
    assert "on 15 test images" in text
    assert "45 images are only in HEAD and 0 only in the workspace" in text
    assert "one person, so there is no interval" in text
    assert "[" not in text.split("All test images")[1]


def test_samples_that_were_ingested_anew_are_warned_of(clone: Clone) -> None:
    clone.make(evaluation(pretrained_pa_mpjpe_mm=np.full(60, 9.0)), labels(), samples="other")
    assert "Careful: the samples were ingested anew" in clone.text()


def test_nothing_shared_is_reported(clone: Clone) -> None:
    clone.make(evaluation(frame=np.arange(60) + 1000), labels())
    assert clone.text().startswith("From HEAD to the workspace, on 0 test images")
    assert "So there is nothing to compare." in clone.text()


def test_the_picture_has_an_arrow_per_gesture(clone: Clone) -> None:
    clone.make(evaluation(pretrained_pa_mpjpe_mm=np.full(60, 9.0)), labels())
    out = clone.root / "work" / "compare.png"
    assert compare(clone.root, "HEAD", picture=out)[-1] == f"wrote {out}"
    assert out.read_bytes().startswith(b"\x89PNG")
    with pytest.raises(PageError, match=r"expected a name that ends in \.png"):
        compare(clone.root, "HEAD", picture=out.with_suffix(".xyz"))


def test_parameters_are_read_from_the_lock_that_dvc_wrote(clone: Clone) -> None:
    found = in_workspace(clone.root).params
    assert found == at_revision(clone.root, "HEAD").params
    assert (found["pose.seed"], found["label.handedness"]) == (0, "handed")
    assert "evaluate.seed" not in found, "no stage of this clone reads it"


def test_two_folders_are_compared_without_the_workspace(clone: Clone) -> None:
    """The later one is "after"; the workspace of the folder in which it is run does not count."""
    other = shutil.copytree(clone.root, clone.root / "work" / "other", symlinks=True)
    clone.make(evaluation(pretrained_wrist_mpjpe_mm=np.full(60, 20.0)), labels())
    text = "\n".join(compare(clone.root, "./work/other", "HEAD"))
    assert text.startswith("From ./work/other to HEAD, on 60 test images")
    assert "Both are the same results" in text
    text = "\n".join(compare(clone.root, "./work/other", "."))
    assert text.startswith("From ./work/other to ., on 60 test images")
    assert re.search(r"40\.5 +20\.0 +-20\.5", text)
    assert "MPJPE in mm: (b)" in text
    (other / PREDICTIONS).unlink()
    with pytest.raises(SnapshotError, match=r"predictions.parquet of ./work/other: not found"):
        compare(clone.root, "./work/other")


def test_an_experiment_is_found_by_its_name(clone: Clone) -> None:
    clone.run("git", "update-ref", "refs/exps/ab/cdef0123/seed-1", "HEAD")
    text = "\n".join(compare(clone.root, "seed-1"))
    assert text.startswith("From seed-1 to the workspace, on 60 test images")


def test_a_project_below_another_repository_is_compared(clone: Clone, tmp_path: Path) -> None:
    """Its tree was copied into a folder of a larger repository."""
    shutil.rmtree(clone.root / ".git")
    place = tmp_path / "big" / "projects" / "hands"
    shutil.copytree(clone.root, place)
    clone.root = place
    subprocess.run(["git", "init", "-q", str(tmp_path / "big")], check=True)
    clone.run("git", "add", ".dvc")
    clone.commit()
    assert "Both are the same results" in clone.text()
    clone.make(evaluation(pretrained_pa_mpjpe_mm=np.full(60, 9.0)), labels())
    assert "on 60 test images that both have" in clone.text()


def test_revisions_without_results_are_reported_with_the_remedy(clone: Clone) -> None:
    with pytest.raises(SnapshotError, match=r"git knows no revision 'nope'"):
        compare(clone.root, "nope")
    with pytest.raises(SnapshotError, match=r"for the folder write \./results$"):
        compare(clone.root, "results")
    clone.run("git", "rm", "-q", "--cached", "dvc.lock")
    who = ("-c", "user.name=test", "-c", "user.email=test@example.org")
    clone.run("git", *who, "commit", "-qm", "no lock")
    with pytest.raises(SnapshotError, match=r"HEAD has no dvc\.lock.*git add dvc\.lock"):
        compare(clone.root, "HEAD")


def test_results_that_left_the_cache_are_reported_with_the_remedy(clone: Clone) -> None:
    shutil.rmtree(clone.root / ".dvc/cache/files")
    with pytest.raises(SnapshotError, match=r"neither in DVC's cache nor on a remote.*dvc push"):
        compare(clone.root, "HEAD")


def test_results_of_a_version_with_other_columns_are_refused(clone: Clone) -> None:
    clone.make(evaluation().drop_columns("session"), labels())
    with pytest.raises(SnapshotError, match=r"of workspace has no column session: another version"):
        compare(clone.root, "HEAD")


def test_half_finished_results_here_are_refused(clone: Clone) -> None:
    (clone.root / PREDICTIONS).write_bytes(b"half")
    with pytest.raises(SnapshotError, match=r"does not match dvc\.lock.*dvc repro"):
        compare(clone.root, "HEAD")
    (clone.root / PREDICTIONS).unlink()
    with pytest.raises(SnapshotError, match=r"not found; `dvc repro` writes it"):
        compare(clone.root, "HEAD")


def test_a_lock_in_conflict_is_reported(clone: Clone) -> None:
    lock = clone.root / "dvc.lock"
    lock.write_text("<<<<<<< HEAD\n" + lock.read_text())
    with pytest.raises(SnapshotError, match="is a git conflict left in it"):
        compare(clone.root, "HEAD")
