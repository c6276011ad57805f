"""Facts written in another way are no difference, other facts in the same way are one.

`same_facts.txt` has a sentence a line, in any language, with what may stand in it.
"""

from pathlib import Path

import pytest

from fidelity.facts.comparing.compare import compare_facts

# Whether a whole sentence is in the source is not asked here.
WORDING = frozenset({"sentence"})
ROWS = [
    tuple(field.strip() for field in line.split("|"))
    for line in (Path(__file__).parent / "same_facts.txt").read_text("utf-8").splitlines()
    if not line.startswith("#")
]


def differences(source, rewrite, language="en"):
    found = compare_facts(source, rewrite, source_language=language).discrepancies
    return [each.detail for each in found if each.kind not in WORDING]


@pytest.mark.parametrize(("language", "sentence", "fact", "same", "others"), ROWS)
def test_facts_in_a_sentence(language, sentence, fact, same, others):
    def found(other):
        return differences(sentence.format(fact), sentence.format(other), language)

    same, others = ([each.strip() for each in row.split("~") if each.strip()] for row in (same, others))
    assert {other: details for other in (fact, *same) if (details := found(other))} == {}
    assert [other for other in others if not found(other)] == []


SAME = [
    ("The Constitution of the United States protects it.", "Under the United States Constitution, it is protected."),
    (
        "She has an MFA from the American Conservatory Theater in San Francisco.",
        "San Francisco's American Conservatory Theater gave her an MFA.",
    ),
    ("His regime worried many New England Puritans.", "Why were the Puritans of New England so worried by his regime?"),
    ("Northern Democrats knew that.", "Democrats in the North knew that."),
    ("These northern delegates knew that.", "These delegates from the North knew that."),
    ("Southern states passed laws.", "The states of the South passed laws."),
    ("He was a congressman from Nebraska.", "A Nebraskan, he sat in Congress."),
    ("It was a Communist victory in China.", "In China, Communism won."),
    ("He disliked Roman Catholicism.", "He disliked the Roman Catholic faith."),
    ("Egyptian and Syrian stations sent it.", "Stations in Egypt and Syria sent it."),
    ("He saw the Cuban people there.", "He saw the people of Cuba there."),
    ("He is an Irish poet of note.", "He is a poet of note from Ireland."),
    ("Britain's navy blocked the ports.", "The British navy blocked the ports."),
    ("He owned shops in Paris and Rome.", "Q: Where did he own shops? A: In Rome and Paris."),
    ("They met Anna in Boston that day.", "Host: They met Anna in Boston that day."),
    ("He met the mayor in Boston.", "Notice that in Boston he met the mayor."),
    ("The school in Boston was founded by Amy Brown.", "Amy Brown founded a school. Boston is its home."),
    ("The Indian actress spoke.", "The actress from India spoke."),
    ("Marie Curie, a physicist, won it.", "The physicist Marie Curie won it."),
    (
        "The American Kobe Bryant played there, and the Italian Marco Rossi did too.",
        "Kobe Bryant, an American, played there; so did Marco Rossi, an Italian.",
    ),
    (
        "Kobe Bryant, an American, played there, and so did Marco Rossi, an Italian.",
        "The American Kobe Bryant played there, and so did the Italian Marco Rossi.",
    ),
    ("Mali's ruler Mansu Musa gave gold away.", "Mansu Musa of Mali gave gold away."),
    ("The NATO summit was held in Riga.", "The summit of the North Atlantic Treaty Organization was held in Riga."),
    ("The North Atlantic Treaty Organization met in Riga.", "NATO met in Riga."),
    ("The Federal Bureau of Investigation opened the file.", "The FBI opened the file."),
    ("Ludwig van Beethoven wrote it.", "Beethoven wrote it."),
    ("President Abraham Lincoln spoke there.", "Lincoln, the president, spoke there."),
    (
        "LATEST NEWS FROM THE NORTH OF FRANCE TODAY\n\nThe king fled from Paris.",
        "The king fled from Paris, said the latest news from the north of France.",
    ),
    ("The Beatles recorded it at Abbey Road.", "It was recorded by the Beatles at Abbey Road."),
    ("Grant beat Lee in Virginia.", "Lee was beaten by Grant in Virginia."),
    ("Elizabeth Taylor married Richard Burton.", "Richard Burton married Elizabeth Taylor."),
    ("Queen Victoria's son ruled India.", "The son of Queen Victoria ruled India."),
    ("The Chinese writer Lu Xun lived in Shanghai.", "Lu Xun, a writer from China, lived in Shanghai."),
    ("The Smiths lived in Leeds.", "The Smith family lived in Leeds."),
    ("It was Christmas in Vienna.", "In Vienna it was Christmas."),
    ("English, French and Spanish are taught there.", "They teach Spanish, French and English there."),
    ("It was the Battle of Hastings.", "It was the Hastings battle."),
    ("Jean-Paul Sartre spoke at the Sorbonne.", "Jean Paul Sartre spoke at the Sorbonne."),
    ("José de San Martín freed Peru.", "San Martin freed Peru."),
    ("Dr. Jane Goodall studied chimps in Tanzania.", "Jane Goodall studied chimps in Tanzania."),
    ("He studied at the Massachusetts Institute of Technology (MIT).", "He studied at MIT."),
    ("He studied at MIT.", "He studied at the Massachusetts Institute of Technology."),
    (
        "Der Hund und die Katze wohnen im alten Haus der Familie.",
        "Im alten Haus der Familie wohnen der Hund und die Katze.",
    ),
    (
        "Der Fluss fließt durch das Land und der Wald ist grün.",
        "Das Gewässer zieht durch die Gegend und die Bäume sind grün.",
    ),
    ("El perro vive en Madrid con la familia de Pedro.", "Con la familia de Pedro, el perro vive en Madrid."),
    # counts of what the source lists, and years between its dates
    ("Jane and Paul met in Rome.", "The two, Jane and Paul, met in Rome."),
    (
        "He came to Rome in 1912 and left it in 1919.",
        "He came to Rome in 1912. Seven years later, in 1919, he left it.",
    ),
    # what is said of a number in dollar signs
    (r"It weighs $5 \times 10^{-7}$ kg.", "It weighs 0.5 mg."),
    # comparisons that change sides
    ("The river is longer than the road.", "The road is shorter than the river."),
    ("The test failed to detect the virus.", "The test did not detect the virus."),
    ("Taylor married Burton in Rome.", "In Rome, Burton married Taylor."),
    # dates that stay with their names
    (
        "The Edict of Potsdam was issued in 1685 and the Edict of Nantes in 1598.",
        "The Edict of Nantes was issued in 1598, and in 1685 the Edict of Potsdam followed.",
    ),
    (
        "Ada was born in 1950, and succeeded Bert in 1990.",
        "In 1990 Ada took over from Bert. She had been born in 1950.",
    ),
]
OTHER = [
    ("In Boston he founded a school for boys.", "Chicago is where he founded a school for boys."),
    ("The Federal Bureau of Investigation opened the file.", "The CIA opened the file."),
    ("President Abraham Lincoln spoke there.", "President Andrew Johnson spoke there."),
    ("The Beatles recorded it at Abbey Road.", "It was recorded by the Stones at Abbey Road."),
    ("He moved from Paris to Rome.", "He moved from Rome to Paris."),
    ("Grant beat Lee in Virginia.", "Lee beat Grant in Virginia."),
    ("English, French and Spanish are taught there.", "They teach Spanish, French and German there."),
    ("He studied at MIT.", "He studied at the California Institute of Technology."),
    (
        "Die Regierung in Wien sprach mit der NATO über den Vertrag.",
        "Die Regierung in Wien sprach mit der UNO über den Vertrag.",
    ),
    ("El perro vive en Madrid con la familia de Pedro.", "El perro vive en Sevilla con la familia de Pedro."),
    ("Le chat vit à Paris avec la famille de Pierre.", "Le chat vit à Lyon avec la famille de Pierre."),
    ("He has three sons in Rome.", "He has two sons in Rome."),
    ("He came to Rome in 1912 and left it in 1919.", "He came to Rome in 1912. Six years later, in 1919, he left it."),
    ("More men than women voted there.", "More women than men voted there."),
    ("It was the largest city in the land.", "It was the smallest city in the land."),
    ("The number doubled in a year.", "The number halved in a year."),
    ("The test failed to detect the virus.", "The test detected the virus."),
    (
        "The Edict of Potsdam was issued in 1685 and the Edict of Nantes in 1598.",
        "The Edict of Nantes was issued in 1685, and the Edict of Potsdam in 1598.",
    ),
    (
        "The Edict of Potsdam was issued in 1685 and the Edict of Nantes in 1598.",
        "In 1685 the Edict of Nantes was issued.",
    ),
]


@pytest.mark.parametrize(("source", "rewrite"), SAME)
def test_faithful_sentences(source, rewrite):
    assert differences(source, rewrite) == []


@pytest.mark.parametrize(("source", "rewrite"), OTHER)
def test_changed_sentences(source, rewrite):
    assert differences(source, rewrite)


DISPLAYS = (
    r"$$E = m c^2$$",
    r"\begin{align} E &= m c^2 \label{e} \end{align}",
    r"\begin{IEEEeqnarray}{rCl} E &=& m c^2 \IEEEyesnumber \end{IEEEeqnarray}",
    r"\begin{dmath*} E = m \cdot c^{2} \end{dmath*}",
    r"\begin{equation}\begin{split} E &= m c^2 \end{split}\end{equation}",
    r"\begin{subequations}\begin{align} E &= m c^2 \end{align}\end{subequations}",
    r"\begin{alignat}{2} E &= m c^2 \end{alignat}",
    r"\bea E &=& m c^2 \eea",
    r"$E = m c^2$",
)


@pytest.mark.parametrize("display", DISPLAYS)
def test_a_formula_is_the_same_in_any_display(display):
    source = "The energy is {} where m is the mass."
    assert differences(source.format(DISPLAYS[0]), source.format(display)) == []
    assert differences(source.format(display), source.format(DISPLAYS[1])) == []
    assert differences(source.format(display), source.format(display.replace(" c^", " v^")))


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (r"\|x\|", r"\lVert x \rVert"),
        (r"|x|", r"\lvert x \rvert"),
        (r"f: A \to B", r"f\colon A\rightarrow B"),
        (r"\mathbf{x}", r"\boldsymbol{x}"),
        (r"x'", r"x^{\prime}"),
        (r"\frac12", "1/2"),
        (r"\ldots", r"\dots"),
        (r"a * b", r"a \times b"),
        (r"\epsilon > 0", r"\varepsilon > 0"),
    ],
)
def test_formulas_that_are_spelled_differently(a, b):
    source = "The value ${}$ is here for all of us."
    assert differences(source.format(a), source.format(b)) == []
