import pytest

from pipeline.readme_block import ReadmeBlock, ReadmeError

BLOCK = ReadmeBlock("<!-- begin -->", "<!-- end -->")
TEXT = "# Title\n\n<!-- begin -->\nold\nlines\n<!-- end -->\n\nMore.\n"


def test_the_lines_between_the_markers_are_replaced_and_no_others() -> None:
    assert BLOCK.inside(TEXT) == "old\nlines\n"
    new = BLOCK.replaced(TEXT, "new\n")
    assert new == TEXT.replace("old\nlines\n", "new\n")
    assert BLOCK.replaced(new, "old\nlines\n") == TEXT


def test_each_block_has_its_own_markers() -> None:
    other = ReadmeBlock("<!-- other -->", "<!-- end of other -->")
    both = TEXT + "<!-- other -->\n1\n<!-- end of other -->\n"
    assert other.inside(both) == "1\n"
    assert BLOCK.inside(other.replaced(both, "2\n")) == "old\nlines\n"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "<!-- begin -->\n",
        "<!-- end -->",
        "<!-- end -->\n<!-- begin -->\n",
        "<!-- begin -->\n<!-- begin -->\n<!-- end -->",
    ],
)
def test_markers_that_are_not_a_pair_are_refused(text: str) -> None:
    with pytest.raises(ReadmeError, match="git checkout README"):
        BLOCK.inside(text)
