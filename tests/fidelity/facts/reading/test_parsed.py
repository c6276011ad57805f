import pytest
from cpu_time import ends_within

from fidelity.facts.reading.parsed import parse


@pytest.mark.parametrize("unit", ["A-", "1,"])
def test_a_text_of_one_unit_over_and_over_takes_linear_time(unit):
    assert ends_within(3, lambda: parse(f"word ({unit * (40_000 // len(unit))}!", "en"))
