"""A number equals itself in any form and no other number."""

import pytest
from cpu_time import ends_within
from hypothesis import given
from hypothesis import strategies as st
from num2words import num2words

from fidelity.facts.comparing.quantities import same_number
from fidelity.facts.reading.number_words import foreign_numbers
from fidelity.facts.reading.numbers import english_numbers
from fidelity.facts.reading.words import words


def read(text):
    return english_numbers(text, words(text))


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("1.2 million people", [1_200_000]),
        ("1,200,000", [1_200_000]),
        ("a dozen eggs, two dozen more", [12, 24]),
        ("half a million", [500_000]),
        ("three and a half million dollars", [3_500_000]),
        ("$5bn, $7m, 10K", [5e9, 7e6, 10_000]),
        ("three hundred and five thousand", [305_000]),
        ("twenty-one years", [21]),
        ("two thirds of it, 1/2 cup, 2½ cups", [2 / 3, 0.5, 2.5]),
        ("the 5th and the twentieth", [5, 20]),
        ("Henry VIII in World War II", [8, 2]),
        ("48/2 = 24", [48, 2, 24]),
        ("between five and ten million", [5e6, 1e7]),
        ("x_2, H2O, 10^5, v1.2.3", [1e5]),
        ("hundreds of people", []),
        ("$.75 and .5 of it", [0.75, 0.5]),
        ("from 1:00 to 5:30", [1, 5, 30]),
        ("I saw it; Vitamin C", []),
        ("9" * 60, []),
        ("Washington DC, an MD, a CD of Marvel MC", []),
        ("Louis XIV, Chapter XLII, Super Bowl LIV", [14, 42, 54]),
        ("U-2, COVID-19 and pages 5-10, lines 3--7", [2, 19, 5, 10, 3, 7]),
        ("7 − 5, but -5 and −6", [7, 5, -5, -6]),
        ("(4.5,1.5) and (3,4)", [4.5, 1.5, 3, 4]),
        ("in 2000 100 people; 100 200 300 400 500 600 700", [2000, 100, 100, 200, 300, 400, 500, 600, 700]),
        ("in 1990², 100 m²", [1990, 100]),
        ("24/7, 9/11, AS-207/208", [24, 7, 9, 11, 207, 208]),
        ("two lakh crore, 3 millions", [2e12, 3e6]),
        ("three sixty-fourths and at six thirty", [3 / 64, 6, 30]),
        ("٣٫٥ and １２３", [3.5, 123]),
    ],
)
def test_values(text, values):
    assert [number.value for number in read(text)] == pytest.approx(values)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("5 km", "5,000 meters"),
        ("5 km", "5 kilometres"),
        ("10 miles", "16 km"),
        ("2 hours", "120 minutes"),
        ("five per cent", "5%"),
        ("half", "50 percent"),
        ("$20", "20 dollars"),
        ("75 cents", "75 ¢"),
        ("a decade ago, 10 years", "10 years"),
        ("1.23 million", "1,234,567"),
        ("about 1,200", "1,234"),
        ("3.14", "3.14159"),
        ("£5", "5 pounds"),
        ("20 °C", "20 degrees"),
        ("5", "5 apples"),
        ("5 pm", "17"),
        ("half an hour", "30 minutes"),
        ("the fall was 5%", "fell by 5%"),
    ],
)
def test_true_equalities(a, b):
    assert same_number(read(a)[-1], read(b)[-1])


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("5 km", "5 miles"),
        ("5 percent", "5 dollars"),
        ("$5 million", "$5 billion"),
        ("1.2 million", "1.3 million"),
        ("1776", "1778"),
        ("12", "13"),
        ("about 12", "13"),
        ("1.9 million", "1,234,567"),
        ("three years", "three months"),
        ("20 °C", "20 °F"),
        ("two thirds", "one third"),
        ("120", "12"),
        ("100 kg", "100 mg"),
    ],
)
def test_false_equalities(a, b):
    assert not same_number(read(a)[0], read(b)[0])


@given(st.integers(0, 10**9))
def test_digits_commas_and_words_are_one_number(value):
    plain, grouped = read(f"about {value} of them"), read(f"about {value:,} of them")
    spelled = read(f"about {num2words(value)} of them")
    assert [number.value for number in plain] == [number.value for number in grouped] == [value]
    assert [number.value for number in spelled] == [value]


@given(st.integers(1, 999), st.sampled_from(["thousand", "million", "billion"]))
def test_scales(value, scale):
    exact = value * {"thousand": 10**3, "million": 10**6, "billion": 10**9}[scale]
    assert [number.value for number in read(f"{value} {scale} and {exact:,}")] == [exact, exact]


@given(st.text(max_size=60))
def test_spans_lie_in_the_text(text):
    for number in read(text):
        assert 0 <= number.start < number.end <= len(text)


@given(st.integers(1, 10**12), st.sampled_from([" ", "\u00a0", "\u202f", "'", "’", ","]))
def test_groups_of_three_digits_set_apart_in_any_way(value, mark):
    written = f"{value:,}".replace(",", mark)
    if value >= 10**6 or mark != " ":  # two groups with a plain space may be two numbers
        assert [number.value for number in read(f"about {written} of them")] == [value]


@pytest.mark.parametrize("piece", ["1", "1.", "1,", "100 ", "-", "1e", "½", "million ", "and a half ", "1/", "°", "²"])
def test_a_long_text_of_any_piece_takes_no_time(piece):
    def read_all():
        read(piece * 5000)
        foreign_numbers(piece * 5000, "de")
        foreign_numbers(piece * 5000, "zh")

    assert ends_within(5, read_all)
