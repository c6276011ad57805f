"""A number is the same in every notation, unit and language, and no other number is."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from fidelity.facts.comparing.compare import compare_facts

FALSE_SCORES = ("number_unsupported", "number_exchanged", "date_unsupported", "date_exchanged", "unit_mismatch")

# A sentence, what stands in it in the source, other ways to write that, and other facts.
CASES = [
    # exponents
    (
        "The sample holds {} atoms of the gas.",
        "10²³",
        ["10^23", "10^{23}", "1e23", "10**23", "$10^{23}$"],
        ["10²⁵", "10^25", "10²²"],
    ),
    ("The factory made {} parts.", "1e6", ["1,000,000", "one million", "10^6", "1E+6"], ["1e7", "10^5", "1e-6"]),
    (
        "The constant is {} per mole here.",
        "6.02 × 10^23",
        ["6.02e23", "6.02·10²³", "6.02 x 10^{23}"],
        ["6.02 × 10^22", "6.02 × 10^-23", "6.20 × 10^23"],
    ),
    ("The grain weighs {} in total.", "3 × 10⁻⁹ kg", ["3e-9 kg", "3 µg"], ["3 × 10⁹ kg", "3 × 10⁻⁶ kg"]),
    ("The number {} is too large for a float.", "10^400", ["10⁴⁰⁰"], ["10^401", "10^300", "10^-400"]),
    # signs
    (
        "At night it was {} in the valley.",
        "−39 °C",
        ["-39 °C", "–39 °C", "minus 39 °C", "39 °C below zero", "39 degrees Celsius below zero", "-38.2 °F"],
        ["39 °C", "−93 °C", "38 °F", "39 °C above zero"],
    ),
    ("At night it was {} there.", "39 degrees below zero", ["minus 39 degrees", "−39 °C"], ["39 degrees"]),
    (
        "The result was {} last year.",
        "−$5 million",
        ["-$5 million", "$-5 million", "a loss of $5 million", "minus 5 million dollars"],
        ["$5 million", "−$5 billion"],
    ),
    ("The lake lies at {} there.", "−86 m", ["86 m below sea level"], ["86 m"]),
    ("It can take {} of cold.", "from −40 to −5 °C", ["−40 °C to −5 °C"], ["from 40 to 5 °C"]),
    # prefixes and letter case
    (
        "The pill holds {} of the drug.",
        "5 µg",
        ["5 micrograms", "5 μg", "0.005 mg", "5 mcg"],
        ["5 mg", "5 g", "5 milligrams", "5 ng"],
    ),
    ("The sensor draws {} of power.", "20 mW", ["20 milliwatts", "0.02 W"], ["20 MW", "20 kW", "20 megawatts"]),
    ("The plant makes {} of power.", "20 MW", ["20 megawatts", "20,000 kW"], ["20 mW", "20 GW"]),
    ("The disk holds {} of data.", "64 GB", ["64 gigabytes", "64,000 MB"], ["64 MB", "64 Gbit", "64 TB"]),
    # conversions
    (
        "The car drove at {} there.",
        "100 km/h",
        ["62 mph", "62 miles per hour", "100 kilometres per hour", "100 kph", "28 m/s"],
        ["65 mph", "100 mph", "62 km/h", "50 mph"],
    ),
    ("The walk is {} from here.", "5 km", ["3.1 miles", "about 3 miles", "5,000 m"], ["5 miles", "4 miles", "500 m"]),
    (
        "Water boils at {} here.",
        "100 °C",
        ["212 °F", "373 K", "212 degrees Fahrenheit"],
        ["100 °F", "200 °F", "212 °C"],
    ),
    (
        "The flight took {} in all.",
        "90 minutes",
        ["1.5 hours", "one and a half hours", "1 hour and 30 minutes", "an hour and a half"],
        ["90 hours", "1.9 hours", "1 hour and 20 minutes"],
    ),
    (
        "He was {} tall then.",
        "6 ft 2 in",
        ["188 cm", "1.88 m", "6 feet 2 inches", "74 inches"],
        ["6 ft 3 in", "198 cm"],
    ),
    (
        "The fire took {} that year.",
        "22,392 km2",
        ["8,646 sq mi", "8,650 square miles"],
        ["8,664 sq mi", "8,466 sq mi"],
    ),
    # Decimal conversions are not rounded by hand.
    ("The mass is {} in all.", "1.45 kg", ["1,450 g", "1450 grams"], ["1,480 g", "14.5 kg"]),
    (
        "The area is {} in all.",
        "7 km²",
        ["7 square kilometres", "7 sq km", "7 km2", "2.7 square miles"],
        ["7 km", "7 m²", "7 square miles"],
    ),
    ("The pull is {} here.", "9.81 m/s²", ["9.81 m/s^2", "9.81 m s⁻²"], ["9.18 m/s²", "9.81 m/s"]),
    ("Pay is {} for all.", "$15 an hour", ["$15 per hour", "15 dollars an hour", "$15/hour"], ["$15 a day"]),
    ("The rate rose by {} then.", "5 percentage points", ["5 percentage points"], ["5 percent"]),
    # currencies
    ("It costs {} at the door.", "$20", ["20 dollars", "US$20", "A$20"], ["€20", "£20", "¥20", "20 euros"]),
    ("It costs {} at the door.", "US$20", ["$20", "20 US dollars", "USD 20"], ["A$20", "20 Canadian dollars", "HK$20"]),
    ("It costs {} at the door.", "¥500", ["500 yen", "500 yuan"], ["$500", "500 won", "500 rupees"]),
    ("It costs {} at the door.", "500 yen", ["¥500", "JPY 500"], ["500 yuan", "CN¥500"]),
    ("It costs {} at the door.", "£5", ["5 pounds", "GBP 5", "5 pounds sterling"], ["€5", "$5"]),
    ("It costs {} at the door.", "75 cents", ["$0.75", "75¢"], ["75 dollars", "$7.50", "75 pence"]),
    ("It costs {} at the door.", "50 kr", ["50 kronor", "50 Danish kroner"], ["50 euros"]),
    # fractions
    (
        "Add {} of flour to the bowl.",
        "¾ cup",
        ["3/4 cup", "three quarters of a cup", "three-quarters cup", "0.75 cups"],
        ["¼ cup", "1/4 cup", "½ cup", "3/8 cup"],
    ),
    (
        "The bolt is {} thick.",
        "1/16 inch",
        ["one sixteenth of an inch", "one-sixteenth inch", "0.0625 inches", "1⁄16 inch", "¹⁄₁₆ inch"],
        ["1/6 inch", "1/61 inch", "3/16 inch"],
    ),
    (
        "Add {} of flour to the bowl.",
        "2¾ cups",
        ["2 3/4 cups", "two and three quarters cups", "2.75 cups", "2-3/4 cups"],
        ["2¼ cups", "3¾ cups", "2 1/4 cups"],
    ),
    # scales
    (
        "The state has {} voters today.",
        "20 crores",
        ["20 crore", "200 million", "twenty crores", "20,00,00,000", "2,000 lakh"],
        ["20 lakhs", "20 million", "2 crores"],
    ),
    (
        "The state has {} voters.",
        "5 lakh",
        ["500,000", "5 lakhs", "5,00,000", "half a million"],
        ["5 crore", "5 million"],
    ),
    ("The debt is {} now.", "$1.2 trillion", ["$1,200 billion", "1.2 trillion dollars"], ["$1.2 billion"]),
    # groups
    ("Light covers {} metres a second.", "299 792 458", ["299,792,458", "299'792'458"], ["299 792 485", "299,792,548"]),
    ("The bank holds {} francs.", "1’250’000", ["1,250,000", "1.25 million", "1 250 000"], ["1,520,000", "125,000"]),
    # two number words
    ("The novel is set in {} in London.", "nineteen eighty-four", ["1984"], ["1985", "nineteen eighty-five", "1948"]),
    ("He was born in {} in London.", "1905", ["nineteen oh five", "nineteen-oh-five"], ["nineteen fifteen"]),
    ("It happened in {} in Rome.", "2010", ["twenty ten", "two thousand and ten"], ["twenty eleven", "2011"]),
    ("He flew a Boeing {} to Rome.", "747", ["seven forty-seven"], ["seven thirty-seven", "737"]),
    ("The share is {} of it.", "3.14", ["three point one four"], ["three point four one"]),
    # dates by region
    (
        "The treaty was signed on {} in Paris.",
        "3/4/2020",
        ["March 4, 2020", "4 March 2020", "April 3, 2020", "2020-03-04"],
        ["4/3/2020", "May 3, 2020", "3/5/2020", "2020-03-05"],
    ),
    (
        "The treaty was signed on {} in Paris.",
        "13/4/2020",
        ["April 13, 2020", "4/13/2020"],
        ["April 12, 2020", "14/4/2020"],
    ),
    ("It was 13/4/2020 when he left, and {} when he came.", "5/6/2020", ["June 5, 2020"], ["May 6, 2020"]),
]


def differences(source, rewrite, **options):
    scores = compare_facts(source, rewrite, **options).scores
    return {name: scores[name] for name in FALSE_SCORES if scores[name]}


@pytest.mark.parametrize(
    ("sentence", "source", "rewrite"), [(sentence, a, b) for sentence, a, same, _ in CASES for b in (a, *same)]
)
def test_the_same_quantity_is_no_difference(sentence, source, rewrite):
    scores = compare_facts(sentence.format(source), sentence.format(rewrite)).scores
    found = differences(sentence.format(source), sentence.format(rewrite))
    assert not found
    assert scores["number_missing"] == scores["date_missing"] == 0


@pytest.mark.parametrize(
    ("sentence", "source", "rewrite"), [(sentence, a, b) for sentence, a, _, others in CASES for b in others]
)
def test_another_quantity_is_a_difference(sentence, source, rewrite):
    assert differences(sentence.format(source), sentence.format(rewrite))


FOREIGN = [
    (
        "de",
        "Der Ort hat {} Einwohner und einen schönen Markt.",
        "2.000",
        ["2000", "zweitausend"],
        ["2,0", "2.100", "200"],
    ),
    (
        "de",
        "Das Buch kostet {} im Laden an der Ecke.",
        "12,50 €",
        ["EUR 12,50", "12,5 €"],
        ["1250 €", "12,05 €", "$12,50"],
    ),
    ("de", "Nachts waren es {} in dem engen Tal.", "−39 °C", ["39 °C unter null", "minus 39 °C"], ["39 °C", "−93 °C"]),
    ("de", "Die Pille enthält {} von dem Stoff.", "5 µg", ["5 μg", "0,005 mg"], ["5 mg", "5 g"]),
    ("de", "Der Zug fuhr mit {} durch das Land.", "100 km/h", ["100 Kilometer pro Stunde"], ["100 mph", "100 m/s"]),
    (
        "de",
        "Der Vertrag gilt seit dem {} für alle.",
        "3. März 2020",
        ["03.03.2020", "3.3.2020"],
        ["4. März 2020", "3. Mai 2020"],
    ),
    (
        "de",
        "Das Land zahlte {} für die Straße.",
        "3,5 Mio. Euro",
        ["3.500.000 Euro"],
        ["3,5 Mrd. Euro", "35 Mio. Euro"],
    ),
    ("es", "La ciudad tiene {} habitantes y un mercado.", "2.000", ["2000", "dos mil", "2 000"], ["2,5", "20.000"]),
    ("es", "El libro cuesta {} en la tienda.", "12,50 €", ["12,5 €"], ["1.250 €", "12,05 €"]),
    ("es", "Hacía {} en el valle por la noche.", "39 grados bajo cero", ["−39 grados"], ["39 grados"]),
    ("fr", "La ville compte {} habitants et un marché.", "1 200 000", ["1,2 million de"], ["12 000 000", "1 200"]),
    ("ru", "В этом городе живёт {} человек и есть рынок.", "2,5 млн", ["2 500 000"], ["2,5 млрд", "25 млн"]),
    ("zh", "这座城市有{}人口和一个市场。", "20万", ["200,000", "200000", "二十万"], ["2万", "20亿"]),
    ("zh", "山谷的夜里是{}，非常冷。", "零下39度", ["-39度"], ["39度"]),
    ("ja", "この町から駅まで{}あります。", "５キロメートル", ["5km", "5000メートル"], ["５メートル", "6キロメートル"]),
]


@pytest.mark.parametrize(
    ("language", "sentence", "source", "rewrite"),
    [(language, sentence, a, b) for language, sentence, a, same, _ in FOREIGN for b in (a, *same)],
)
def test_the_same_quantity_in_the_language_of_the_text(language, sentence, source, rewrite):
    pair = sentence.format(source), sentence.format(rewrite)
    assert not differences(*pair, source_language=language)


@pytest.mark.parametrize(
    ("language", "sentence", "source", "rewrite"),
    [(language, sentence, a, b) for language, sentence, a, _, others in FOREIGN for b in others],
)
def test_another_quantity_in_the_language_of_the_text(language, sentence, source, rewrite):
    pair = sentence.format(source), sentence.format(rewrite)
    assert differences(*pair, source_language=language)


def test_the_language_is_found_where_it_is_not_stated():
    german = "Die Stadt hat {} Einwohner, einen Markt und eine schöne alte Kirche."
    assert not differences(german.format("2.000"), german.format("2000"))
    assert differences(german.format("2.000"), german.format("2"))


@pytest.mark.parametrize(
    ("language", "source", "true", "false"),
    [
        ("de", "Die Stadt hat 2.000 Einwohner.", "The town has 2,000 inhabitants.", "The town has 2.0 inhabitants."),
        ("es", "Cada uno cuesta 12,50 euros.", "Each of them costs 12.50 euros.", "Each of them costs 1,250 euros."),
        ("de", "Es waren −39 °C in der Nacht.", "It was −39 °C at night.", "It was 39 °C at night."),
        ("de", "Die Pille enthält 5 µg davon.", "The pill holds 5 µg of it.", "The pill holds 5 mg of it."),
        ("ru", "Поезд шёл со скоростью 100 км/ч.", "The train went at 62 mph.", "The train went at 100 mph."),
        ("zh", "这里有5公里长的路。", "The road here is 5 km long.", "The road here is 5 miles long."),
    ],
)
def test_translations(language, source, true, false):
    assert compare_facts(source, true, source_language=language).scores["number_exchanged"] == 0
    assert compare_facts(source, false, source_language=language).scores["number_exchanged"] == 1


UNITS = ["km", "mg", "µg", "MW", "mW", "°C", "km/h", "€", "%", "kHz", "m²", "hours", "kilograms"]


@given(st.decimals(1, 10**6, places=2), st.sampled_from(UNITS), st.booleans())
def test_a_quantity_equals_itself_and_not_its_negative(value, unit, negative):
    text, other = (f"It was {sign}{value} {unit} in the end." for sign in (("−", "") if negative else ("", "−")))
    assert not compare_facts(text, text).discrepancies
    assert differences(text, other)


@given(st.integers(-30, 30), st.integers(-30, 30), st.sampled_from(["10^{}", "1e{}", "3 × 10^{}"]))
def test_another_exponent_is_another_number(a, b, form):
    assume(a and b)  # 10^0 is one, which needs no support
    text, other = (f"It holds {form.format(exponent)} of them." for exponent in (a, b))
    assert bool(differences(text, other)) == (a != b)


@given(
    st.lists(st.sampled_from(["1.234,5", "−5", "10²³", "¾", "$5", "1 000", "°C", "3/4/2020", "m/s²", "und", "a", "9"]))
)
def test_any_sequence_of_notations_is_itself(pieces):
    text = "Here are " + " ".join(pieces) + "."
    report = compare_facts(text, text)
    assert not [found for found in report.discrepancies if found.kind in ("number", "date")]
