"""docs/results.md: from made-up results, and that of this repository is up to date."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import cv2
import pytest
import yaml
from markupsafe import escape

from pipeline.__main__ import main
from pipeline.clones.training_clone import SEEDED
from pipeline.experiment.grid import FILE, read_grids
from pipeline.experiment.grid_results import PRIMARY, ComparisonError
from pipeline.experiment.pages.answers import MARKS
from pipeline.experiment.pages.experiments_page import (
    AT_EQUAL_TIME,
    PAGE,
    PICTURE,
    SCALING,
    page,
    read_all,
)
from pipeline.experiment.pages.forest_plot import forest_lines
from pipeline.experiment.pages.questions import QUESTIONS
from pipeline.experiment.pages.readme_table import BLOCK, ROWS, ReadmeCell, cell_texts, readme_table
from pipeline.experiment.pages.scaling_plot import (
    BY_FRAMES,
    BY_LABELS,
    BY_POSES,
    LABELS_GRID,
    by_grid,
    by_labels,
)
from pipeline.experiment.pages.table_2 import PAPER, TABLE_2_GRIDS
from pipeline.experiment.pages.token_effects import BY_TOKENS, TWO_BY_TWO, by_tokens
from pipeline.experiment.pages.training_time import CURVE, FULL, SIDE_BY_SIDE
from pipeline.experiment.pages.variant_pairs import p_values_over_all, unique_pairs
from pipeline.experiment.pages.variants_page import HTML, MARGIN, WIDTH, variant_lines
from pipeline.experiment.pages.verdict import CLAIMS
from pipeline.experiment.runs import RESULTS, runs_of
from pipeline.readme_block import README
from tests.pipeline.experiment.made_up_results import result

ROOT = Path(__file__).parents[4]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of what the command reads, without results."""
    for name in (FILE, README, Path("params.yaml")):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / "docs").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def fill(folder: Path, name: str, **means: float) -> None:
    """Results of a whole grid; 30 mm but for what is given."""
    file = read_grids(folder)
    for run in runs_of(folder, file, file.grids[name]):
        variant = run.resolved
        settings = json.loads(json.dumps(variant.settings))
        for section in {*SEEDED} & {*settings}:
            del settings[section]["seed"]
        content = result(variant.name, run.seed, means.get(variant.name, 30.0)) | {
            "run": variant.variant.run,
            "settings": settings,
        }
        for person in content["people"].values():
            person["table2_mpjpe_mm"] = person["wrist_fit_mpvpe_mm"] = person["pa_mpjpe_mm"]
        path = folder / run.file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content), encoding="utf-8")


def test_the_page_of_one_whole_grid(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fill(folder, "claim", full=27.0)
    assert main(["experiment", "report"]) == 0
    text = (folder / PAGE).read_text("utf-8")
    assert text in capsys.readouterr().out
    assert "| Stage 1, three epochs of Stage 2 | `full`: 2" in text
    assert "How far from convergence" not in text, "nothing is known of three and six epochs"
    assert "**Yes** | `full` minus `neither`: -" in text
    assert "| Stage 1, no tokens | not shown | `pretraining_only` minus `neither`: " in text
    assert "| full minus 8 epochs without gestures | " in text
    assert "- 0 of 12 runs of `table2`" not in text, "full has its results from claim"
    assert "- 3 of 12 runs of `table2` have a result." in text
    assert "| EANet | 4.94 | 5.26 | `eanet` | missing | missing | missing | 0 of 3 |" in text
    assert (
        "| EANet | 4.94 | 5.26 | `eanet_fewer_steps` | missing | missing | missing | 0 of 3 |"
        in text
    )
    assert text.count("| HaMeR | 16.11 | 15.37 | not run |  |  |  |  |") == 2
    assert (folder / RESULTS / "claim.md").is_file()
    assert "| three times the frames | `data_triple`† | 0 of 6 runs of" in text
    picture = cv2.imread(str(folder / PICTURE))
    assert picture is not None and min(picture.shape[:2]) > 200


def test_the_html_has_a_row_and_an_interval_for_each_variant(folder: Path) -> None:
    """In one file that asks for nothing; a grid with missing runs decides nothing."""
    grids = folder / FILE
    grids.write_text(
        grids.read_text("utf-8").replace(
            "Stage 1, then tokens of its logits", "<b>Stage 1 & tokens</b>"
        )
    )
    fill(folder, "claim", pretraining_only=27.0, tokens_only=33.0)
    fill(folder, "handedness", canonical=31.0)
    next((folder / RESULTS / "canonical").glob("*.json")).unlink()
    (folder / "results").mkdir()
    (folder / "results" / "report.html").write_text("a report", "utf-8")
    assert main(["experiment", "report"]) == 0
    html = (folder / HTML).read_text("utf-8")
    sections = dict(re.findall(r'<section id="([a-z_0-9]+)">(.*?)</section>', html, re.S))
    grid_rows = {
        name: {
            row[1]: row[0]
            for row in re.findall(
                r"(<tr><th>([a-z_]+)</th>.*?</tr>)", text.partition("<tbody>")[2], re.S
            )
        }
        for name, text in sections.items()
    }
    claim, rows = read_grids(folder).grids["claim"], grid_rows["claim"]
    canonical = grid_rows["handedness"]["canonical"]
    assert list(rows) == list(claim.variants)
    assert '<svg class="lower"' in rows["pretraining_only"]
    assert "<circle" in rows["pretraining_only"]
    assert '<svg class="higher"' in rows["tokens_only"] and "<rect" in rows["tokens_only"]
    assert "<svg" not in rows["neither"] and "5 of 5" in rows["neither"]
    assert "<svg" not in canonical and "<td>open</td>" in canonical, "no interval before the end"
    assert "&lt;b&gt;Stage 1 &amp; tokens&lt;/b&gt;" in rows["full"] and "<b>" not in html
    assert "5 of 6 runs of <code>handedness</code> have a result" in html
    assert '<a href="report.html">' in html
    assert all(mark in html for mark in MARKS.values())
    assert all(f"<li>{escape(one.subject.rstrip(','))}" in html for one in CLAIMS)
    assert not re.search(r"src=|url\(|@import|https?:|<script", html)
    text = (folder / PAGE).read_text("utf-8")
    lines = variant_lines(read_all(folder)[0]["claim"])
    for line in lines:
        assert line.difference in text
        assert line.mean in rows[line.name] and line.difference in rows[line.name]
    drawings = [line.drawing for line in lines if line.drawing]
    assert len(drawings) == len(claim.variants) - 1
    assert min(one.low for one in drawings) == MARGIN
    assert max(max(one.high, one.zero) for one in drawings) == WIDTH - MARGIN
    assert len({one.zero for one in drawings}) == 1
    assert all(one.low < one.value < one.high for one in drawings)


def test_without_a_result_the_remedy_is_named(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["experiment", "report"]) == 2
    assert "handpose experiment run claim" in capsys.readouterr().err
    assert not (folder / PAGE).exists()


def test_p_values_over_all_grids_are_larger_and_each_comparison_counts_once(folder: Path) -> None:
    """A difference that its own grid shows, but that four others beside it make chance."""
    fill(folder, "handedness", canonical=29.0)
    grids = read_all(folder)[0]
    own = grids["handedness"].p_values(PRIMARY)["canonical"]
    assert 0.01 < own < 0.05
    ((key, alone),) = p_values_over_all(grids).items()
    assert alone == pytest.approx(own)
    fill(folder, "claim")
    grids = read_all(folder)[0]
    assert p_values_over_all(grids)[key] > 0.05
    compared = [(one.variant, one.against) for one, _ in unique_pairs(grids)]
    assert len(compared) == len({*compared}) and ("pretraining_only", "full") in compared
    row = next(line for line in page(grids) if "`canonical` minus `full`" in line)
    cells = [cell.strip() for cell in row.split(" | ")]
    assert float(cells[4]) < 0.05 < float(cells[5])


def test_how_far_the_networks_are_from_convergence_is_stated_first(folder: Path) -> None:
    for name in ("claim", "equal_time", "equal_steps"):
        fill(folder, name, neither=29.0, neither_equal_time=33.0, neither_fewer_steps=44.0)
    (line,) = (line for line in page(read_all(folder)[0]) if "How far from convergence" in line)
    found = re.findall(r"(\d+\.\d+) \[", line)
    assert [float(one) for one in found] == pytest.approx([44, 33, 29], abs=1.5)


def test_differences_at_equal_time_are_those_of_their_grids(folder: Path) -> None:
    fill(folder, "data_third", third_full=27.0)
    assert main(["experiment", "report"]) == 0
    text = (folder / PAGE).read_text("utf-8")
    (row,) = (line for line in text.splitlines() if line.startswith("| a third of the frames"))
    difference = row.split(" | ")[4]
    assert -3.5 < float(difference.split()[0]) < -2.5
    assert f"`third_full` minus `third_neither`: {difference}, 3 seeds" in text


def test_scaling_is_drawn_from_two_points_on(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(folder, "data_third", third_full=27.0)
    assert main(["experiment", "report"]) == 0
    assert not (folder / SCALING).exists()
    assert SCALING.name not in (folder / PAGE).read_text("utf-8")
    fill(folder, "equal_time", full=31.0)
    fill(folder, "labels_stage_1", labelled_1=36.0, labelled_10=33.0)
    grids, _ = read_all(folder)
    frames, labels = by_grid(grids, BY_FRAMES), by_labels(grids)
    assert [*frames] == [1890, 5670] and [*labels] == [1, 10, 100]
    assert frames[1890].high < 0 < frames[5670].low
    assert labels[1].value > labels[10].value > labels[100].value
    fill(folder, "fewer_poses_seeds", three_percent_full=29.0)
    poses = by_grid(read_all(folder)[0], BY_POSES)
    assert [*poses] == [3, 100] and poses[3].high < 0 < poses[100].low
    assert main(["experiment", "report"]) == 0
    picture = cv2.imread(str(folder / SCALING))
    assert picture is not None and min(picture.shape[:2]) > 200
    assert f"({SCALING.name})" in (folder / PAGE).read_text("utf-8")
    assert f"wrote {README}, {PAGE}, {PICTURE}, {SCALING}, {HTML} and" in capsys.readouterr().out
    (folder / RESULTS / "third_full" / "seed-10.json").unlink()
    (folder / RESULTS / "labelled_1" / "seed-10.json").unlink()
    (folder / RESULTS / "three_percent_full" / "seed-20.json").unlink()
    assert main(["experiment", "report"]) == 0
    assert not (folder / SCALING).exists(), "of what is no longer known"


def test_a_grid_that_cannot_be_read_stops_no_other(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(folder, "claim", full=27.0)
    fill(folder, "handedness", canonical=31.0)
    damaged = folder / RESULTS / "neither" / "seed-11.json"
    damaged.write_text("{")
    assert main(["experiment", "report"]) == 2
    said = capsys.readouterr().err
    assert f"{PAGE} and {HTML} are written, without grids that cannot be read" in said
    assert f"claim: {damaged}: is not a result" in said and "delete it and run again" in said
    text = (folder / PAGE).read_text("utf-8")
    assert "**Grid `claim` is not shown: `handpose experiment table claim` says why.**" in text
    assert "Open: grid `claim` is missing or cannot be read." in text
    assert "`canonical` minus `full`" in text and str(folder) not in text
    damaged.unlink()
    assert main(["experiment", "report"]) == 0, "the remedy"
    assert "24 of 25 runs of `claim`" in (folder / PAGE).read_text("utf-8")


def test_if_no_grid_can_be_read_their_faults_are_reported(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(folder, "handedness")
    for path in (folder / RESULTS).rglob("*.json"):
        path.write_text("{")
    assert main(["experiment", "report"]) == 2
    assert "is not a result" in capsys.readouterr().err
    assert not (folder / PAGE).exists()


def test_what_the_page_asks_for_is_in_the_grids() -> None:
    grids = read_grids(ROOT)
    for question in QUESTIONS:
        grid = grids.grids[question.grid]
        assert set(question.variants) <= set(grid.variants) - {grid.against}, question.text
    for name, (_, variants) in TABLE_2_GRIDS.items():
        assert list(variants) == grids.grids[name].variants and len(variants) == len(PAPER) - 1
    assert {*BY_FRAMES.values(), *BY_POSES.values()} <= {*grids.grids}
    for share, name in BY_POSES.items():
        settings = grids.variants[grids.grids[name].variants[0]].set or {}
        assert settings.get("pose.annotated_share", 1.0) == share / 100
    assert {*BY_LABELS.values()} <= {*grids.grids[LABELS_GRID].variants}
    for claim in CLAIMS:
        grid = grids.grids[claim.grid]
        assert claim.variant in grid.variants and claim.variant != grid.against, claim.subject
    for name in AT_EQUAL_TIME:
        grid = grids.grids[name]
        first, other = grid.variants[0], grid.against
        assert first != other
        assert grids.variants[first].run == "pretrained" and grids.variants[other].run == "scratch"
    cells = [cell for pairs in (TWO_BY_TWO, BY_TOKENS) for pair in pairs.values() for cell in pair]
    named = [*cells, *((own, name) for name, own in CURVE.items()), FULL, SIDE_BY_SIDE]
    for own, name in named:
        assert name in grids.grids[own].variants
    for name, grid in grids.grids.items():
        assert not (grid.planned == "first" and grid.added), name
        assert grid.planned != "seen" or grid.added, name


def test_the_page_in_git_is_of_the_results_in_git() -> None:
    if not (ROOT / RESULTS).is_dir():
        assert not (ROOT / PAGE).exists()
        return
    grids, faults = read_all(ROOT)
    assert not faults
    expected = "\n".join(page(grids)) + "\n"
    assert (ROOT / PAGE).read_text("utf-8") == expected, "run `handpose experiment report`"
    table = "\n".join(readme_table(grids)) + "\n"
    assert BLOCK.inside((ROOT / README).read_text("utf-8")) == table, (
        "run `handpose experiment report`"
    )


def test_readme_has_a_cell_for_each_grid_that_is_whole(folder: Path) -> None:
    def rows() -> list[str]:
        assert main(["experiment", "report"]) == 0
        return BLOCK.inside((folder / README).read_text("utf-8")).splitlines()[2:]

    fill(folder, "equal_time", full=33.0)
    fill(folder, "few_poses", tenth_full=27.0)
    next((folder / RESULTS / "tenth_full").glob("*.json")).unlink()
    (all_poses,) = rows()
    assert re.fullmatch(
        r"\| all poses in Stage 2 \| (29|30)\.\d to 33\.\d: \+\d\.\d \[.*\] \| "
        r"worse, 5 seeds‡ \|  \|  \|",
        all_poses,
    )
    fill(folder, "few_poses", tenth_full=27.0)
    assert rows()[0] == all_poses
    assert rows()[1].endswith("better, 3 seeds† |  |  |")


def test_the_sentences_in_readme_are_what_the_results_say() -> None:
    sentences = (
        "gesture pretraining increases the error where all training images have pose annotations. "
        "With four times the training, or with a tenth of the annotations, no difference is shown. "
        "With 3 % of the annotations it decreases the error."
    )
    text = (ROOT / README).read_text("utf-8")
    assert sentences in text
    grids, _ = read_all(ROOT)
    says = {setting: cell_texts(row[0], grids)[1] for setting, row in ROWS.items()}
    assert says["all poses in Stage 2"].startswith("worse, ")
    assert says["four times as long"].startswith("not shown, ")
    assert says["a tenth of the poses"].startswith("not shown (PA worse), ")
    assert says["3 % of the poses"].startswith("better, ")
    assert "labels dealt out anew to the images, which mean nothing, are worse in Stage 1" in text
    assert grids["labels_stage_1"].outcome("stage_1_shuffled_images") == "higher"
    assert "between gestures and clusters of the pose no difference is shown" in text
    assert grids["labels"].outcome("pose_clusters") == "inconclusive"


def test_the_share_of_time_in_readme_is_that_of_the_runs() -> None:
    timed = read_all(ROOT)[0][SIDE_BY_SIDE[0]]
    own, other = timed.seconds(SIDE_BY_SIDE[1]), timed.seconds(timed.grid.against)
    longer = [100 * (other[seed] / seconds - 1) for seed, seconds in own.items()]
    text = (ROOT / README).read_text("utf-8")
    assert f"which take {min(longer):.0f} to {max(longer):.0f} % longer than Stage 1" in text


def test_what_pa_mpjpe_shows_is_added_where_it_differs(folder: Path) -> None:
    fill(folder, "handedness", canonical=33.0)
    cell = ReadmeCell("handedness", "canonical")
    assert cell_texts(cell, read_all(folder)[0])[1] == "worse, 3 seeds"
    for path in (folder / RESULTS / "canonical").glob("*.json"):
        content = json.loads(path.read_text("utf-8"))
        for person in content["people"].values():
            person["pa_mpjpe_mm"]["mean"] -= 4.0
        path.write_text(json.dumps(content), "utf-8")
    assert cell_texts(cell, read_all(folder)[0])[1] == "worse (PA better), 3 seeds"


def test_pictures_and_tables_have_the_answers_of_complete_grids(folder: Path) -> None:
    fill(folder, "claim", full=33.0)
    fill(folder, "handedness", full=33.0, canonical=27.0)
    grids = read_all(folder)[0]
    lines = {line.title: line for line in forest_lines(grids)}
    assert lines["full minus 8 epochs without gestures"].outcome == "higher"
    assert lines["mirrored hands minus classes for each hand"].outcome == "lower"
    assert lines["a part alone minus full (tokens_only)"].difference.value < 0
    assert len(lines) == 6, "those of parts and equal_steps too, whose runs are the same"
    found = by_tokens(grids, *BY_TOKENS["after Stage 1"])
    assert found is not None and found.value == pytest.approx(3, abs=1)
    assert by_tokens(grids, *BY_TOKENS["without Stage 1"]) is None, "no equal_time yet"


def test_readme_s_cells_are_of_the_grids(folder: Path) -> None:
    grids = read_grids(folder).grids
    cells = [cell for row in ROWS.values() for cell in row if cell is not None]
    for cell in cells:
        assert cell.variant in grids[cell.grid].variants
        assert cell.variant != grids[cell.grid].against
    assert len({*cells}) == len(cells)


def test_a_readme_without_markers_is_said_before_anything_is_written(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(folder, "claim")
    (folder / README).write_text("# Mine\n", "utf-8")
    assert main(["experiment", "report"]) == 2
    assert "git checkout README.md" in capsys.readouterr().err
    assert not (folder / PAGE).exists()


def test_the_paper_s_figures_are_those_of_its_table() -> None:
    """Table 2: margins of 0.08 and 0.16 mm, which the paper's text names."""
    eanet, pretrained = float(PAPER["EANet"][0]), float(PAPER["EANet, gesture pretraining"][0])
    without, full = float(PAPER["ours, without pretraining"][0]), float(PAPER["ours, full"][0])
    assert (eanet - pretrained, without - full) == pytest.approx((0.08, 0.16))


def test_grids_without_results_have_no_page() -> None:
    file = yaml.safe_load((ROOT / FILE).read_text("utf-8"))
    assert file["grids"]
    with pytest.raises(ComparisonError, match="no run has a result"):
        list(page({}))
