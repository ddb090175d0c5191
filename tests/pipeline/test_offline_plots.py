"""DVC's plots page with Vega inside. That a browser draws it: end_to_end/test_plots.py."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest
import yaml
from dvc.repo import Repo
from dvc_render.html import HTML, render_html
from dvc_render.vega import VegaRenderer

from pipeline.offline_plots import TEMPLATE, VEGA_LITE, install, template

ROOT = Path(__file__).parents[2]
TEMPLATES = sorted((ROOT / ".dvc" / "plots").glob("*.json"))


def loaded(html: str) -> list[str]:
    """Addresses that a page asks for when it is opened."""
    return re.findall(r"<(?:script|link|img)[^>]+(?:src|href)=[\"'](http[^\"']*)", html)


def test_a_page_made_with_it_asks_for_nothing(tmp_path: Path) -> None:
    plot = VegaRenderer([{"step": 1, "loss": 2.0, "rev": "a"}], "loss", x="step", y="loss")
    page, ours = tmp_path / "index.html", tmp_path / "template.html"
    ours.write_text(template(), encoding="utf-8")
    render_html([plot], page, html_template=ours)
    assert loaded(page.read_text("utf-8")) == []
    assert "vegaEmbed('#" in page.read_text("utf-8")
    render_html([plot], page)
    assert loaded(page.read_text("utf-8")), "DVC's own page needs none of this any more"


def test_the_template_has_each_of_dvcs_placeholders_once() -> None:
    text = template()
    for place in (HTML.PLOTS_PLACEHOLDER, HTML.REFRESH_PLACEHOLDER):
        assert text.count(f"{{{place}}}") == 1
    assert text.count("</script") == 1


def test_dvc_is_configured_for_it_on_this_machine_alone(tmp_path: Path) -> None:
    Repo.init(str(tmp_path), no_scm=True)
    before = (tmp_path / ".dvc" / "config").read_text()
    assert install(tmp_path) == tmp_path / TEMPLATE
    assert (tmp_path / ".dvc" / "config").read_text() == before
    named = Repo(str(tmp_path)).config["plots"]["html_template"]
    assert (tmp_path / ".dvc" / named).read_text("utf-8") == template()


def test_git_ignores_it() -> None:
    done = subprocess.run(["git", "check-ignore", str(TEMPLATE), ".dvc/config.local"], cwd=ROOT)
    assert done.returncode == 0


def test_vega_is_of_the_version_that_dvcs_templates_are_written_for() -> None:
    from dvc_render.vega_templates import LinearTemplate

    for schema in (
        LinearTemplate.DEFAULT_CONTENT["$schema"],
        *(json.loads(path.read_text())["$schema"] for path in TEMPLATES),
    ):
        assert f"/v{VEGA_LITE.split('.')[0]}." in schema


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.stem)
def test_every_template_is_used_by_a_plot_and_every_plots_template_is_there(path: Path) -> None:
    plots = yaml.safe_load((ROOT / "dvc.yaml").read_text("utf-8"))["plots"]
    used = {
        settings["template"]
        for plot in plots
        if isinstance(plot, dict)
        for settings in plot.values()
    }
    assert path.stem in used
    assert used <= {path.stem for path in TEMPLATES}
