"""No text freezes or breaks a run: every public function of a text ends 20,000 hostile characters within 5 seconds.

Here each function gets the texts that once took minutes, a twentieth of all others and a mixture; `make test-fuzz` runs
all of them, and many mixtures, with growth curves.
"""

import zlib

import pytest
from hostile import run_all, text_functions

N_CHARACTERS = 20_000
# Comparing facts begins by parsing both texts: here that is enough.
FUNCTIONS = sorted(text_functions().keys() - {"parse"})


@pytest.mark.parametrize("function", FUNCTIONS)
def test_hostile_texts_end_in_time_and_without_an_error(function):
    seed = zlib.crc32(function.encode())
    cases = list(run_all(function, n_characters=N_CHARACTERS, seed=seed, share=0.05, n_mixed=1))
    assert len(cases) > 20
    assert [(case.text, case.error) for case in cases if case.error] == []


def test_a_function_that_does_not_end_is_stopped_and_the_next_text_tried(monkeypatch):
    import hostile

    def forever(text):
        while text.startswith("x"):
            pass

    monkeypatch.setattr(hostile, "text_functions", lambda: {"forever": forever})
    monkeypatch.setattr(hostile, "hostile_texts", lambda *_: iter([("a", "a"), ("x", "x"), ("b", "b")]))
    cases = list(run_all("forever", n_characters=1, limit_s=0.3))
    assert [(case.text, case.error) for case in cases] == [("a", ""), ("x", "stopped"), ("b", "")]
