"""The table of a cycle's rounds."""

from flows.results.cycle_report import cycle_markdown


def test_a_style_of_an_own_recipe_stays_in_its_cell():
    style = {"recipe": "own|recipe", "style": "a|b", "worth": 1.0, "error": 0.1, "n_tokens": 10, "share": 1.0}
    round_ = {
        "rephrase": {"n_variants": 1, "n_accepted": 1, "n_read": 1, "n_tokens": 10},
        "train": {"n_tokens": 10},
        "decide": {"styles": [style], "drawn": {}, "n_variants": 2, "held_out_loss": 1.0, "lines": ["a|b is <best>"]},
    }
    rows = [line for line in cycle_markdown([round_]).splitlines() if "|" in line and "own" in line]
    assert [row.count("|") for row in rows] == [7]
    assert "a&#124;b is &lt;best>" in cycle_markdown([round_])
