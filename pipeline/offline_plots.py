"""`dvc plots` pages that open without internet: `python -m pipeline.offline_plots`.

DVC's own page loads Vega from a server on the internet. This writes a page template with Vega
inside, `.dvc/offline_plots.html`, and sets it in `.dvc/config.local`; git ignores both. Set-up
runs it once; a clone without it has DVC's own page.
"""

from __future__ import annotations

from pathlib import Path

import vl_convert

from handpose.files import atomic_file
from pipeline import dvc_internals

VEGA_LITE = "5.21"
"""The major version that DVC's templates are written for."""

TEMPLATE = Path(".dvc/offline_plots.html")

PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>dvc plots</title>
<link rel="icon" href="data:,">
{refresh_tag}
<style>body {{ font-family: sans-serif }} table {{ border-spacing: 15px }}</style>
<script>{vega}</script>
</head>
<body>
{plot_divs}
</body>
</html>
"""


def template() -> str:
    """A page for DVC to put its plots into, with Vega, Vega-Lite and Vega-Embed inside."""
    vega = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;", VEGA_LITE)
    vega = vega.replace("</script", "<\\/script")
    return PAGE.format(vega=vega, refresh_tag="{refresh_tag}", plot_divs="{plot_divs}")


def install(root: Path) -> Path:
    """Write the template and set it in DVC's local configuration; returns its path."""
    path = root / TEMPLATE
    with atomic_file(path) as partial:
        partial.write_text(template(), encoding="utf-8")
    with dvc_internals.config(root).edit("local") as settings:
        settings.setdefault("plots", {})["html_template"] = TEMPLATE.name
    return path


if __name__ == "__main__":
    print(f"wrote {install(Path.cwd())}")
