"""Another language is found, also in a short text; near languages, scripts, names and formulas are none."""

import pytest
from lighthouse import DE, EN, ES, FR, JA, RU, ZH

from fidelity.checks.language import not_english, other_language

NO = (
    "Fyret på Skerryvore ble bygget mellom 1838 og 1844 av Alan Stevenson. Det er 48 meter høyt og "
    "står på et rev utenfor vestkysten av Skottland."
)
NO_2 = (
    "Mellom 1838 og 1844 reiste Alan Stevenson et tårn på 48 meter, og det står på et rev utenfor "
    "vestkysten av Skottland i Atlanterhavet."
)
DA = (
    "Fyret på Skerryvore blev bygget mellem 1838 og 1844 af Alan Stevenson. Det er 48 meter højt og "
    "står på et rev ud for Skotlands vestkyst."
)
NN = (
    "Mellom 1838 og 1844 reiste Alan Stevenson eit tårn på 48 meter, og det står på eit skjer "
    "utanfor vestkysten av Skottland i havet."
)
SR_LATIN = (
    "Svetionik Skerivor izgradio je Alan Stivenson između 1838. i 1844. godine. Visok je 48 metara i"
    " stoji na grebenu kod zapadne obale Škotske."
)
SR_LATIN_2 = (
    "Između 1838. i 1844. godine Alan Stivenson podigao je na grebenu ispred zapadne obale Škotske "
    "toranj koji je visok 48 metara."
)
SR = (
    "Светионик Скеривор изградио је Алан Стивенсон између 1838. и 1844. године. Висок је 48 метара и"
    " стоји на гребену код западне обале Шкотске."
)
HR = (
    "Svjetionik Skerryvore izgradio je Alan Stevenson između 1838. i 1844. godine. Visok je 48 "
    "metara i stoji na grebenu uz zapadnu obalu Škotske."
)
BS = (
    "Svjetionik Skerryvore izgradio je Alan Stevenson između 1838. i 1844. Visok je 48 metara, a "
    "stoji na grebenu pored zapadne obale Škotske, u moru."
)
MS = (
    "Rumah api Skerryvore dibina antara tahun 1838 dan 1844 oleh Alan Stevenson. Tingginya 48 meter "
    "dan terletak di atas terumbu di luar pantai barat Scotland."
)
ID = (
    "Mercusuar Skerryvore dibangun antara tahun 1838 dan 1844 oleh Alan Stevenson. Tingginya 48 "
    "meter dan berdiri di atas karang di lepas pantai barat Skotlandia."
)
CS = (
    "Maják Skerryvore postavil v letech 1838 až 1844 Alan Stevenson. Je vysoký 48 metrů a stojí na "
    "útesu u západního pobřeží Skotska, daleko od pevniny v moři."
)
SK = (
    "Maják Skerryvore postavil v rokoch 1838 až 1844 Alan Stevenson. Je vysoký 48 metrov a stojí na "
    "útese pri západnom pobreží Škótska, ďaleko od pevniny v mori."
)
GL = (
    "O faro de Skerryvore foi construído entre 1838 e 1844 por Alan Stevenson. Ten 48 metros de "
    "altura e está sobre un arrecife fronte á costa oeste de Escocia."
)
PT = (
    "O farol de Skerryvore foi construído entre 1838 e 1844 por Alan Stevenson. Tem 48 metros de "
    "altura e fica num recife ao largo da costa oeste da Escócia."
)
JA_LOANS = (
    "ワルシャワのレストランでスパゲッティとハンバーグとサラダとデザートとコーヒーとビールとワインとチーズとバターと"
    "パンとスープとステーキとソーセージとピザとケーキとアイスクリームとチョコレートとクッキーとビスケットとキャンデ"
    "ィーとガムを食べた。"
)
JA_PLAIN = (
    "ワルシャワの料理店で、多くの人々が肉と野菜と甘い物と飲み物を毎日のように注文し、食べながら長い時間話し合ってい"
    "たという。窓の外には大きな川が流れていて、夜になると町の明かりが水の上にゆれ、遠くから音楽が聞こえてくる。人々"
    "は歌い、笑い、そして帰っていった。"
)
MATH = (
    "Let $f$ be a continuous function on $[0,1]$ with $f(0)=f(1)$. Prove that for each $n$ there is "
    "$x$ with $f(x)=f(x+1/n)$. Compute $\\int_0^1 f(x)dx$ if $f(x)=x(1-x)$."
)
MATH_2 = (
    "Given: $f$ continuous on $[0,1]$, $f(0)=f(1)$. Show: for every $n$ some $x$ has "
    "$f(x)=f(x+1/n)$. Also evaluate $\\int_0^1 f(x)dx$ where $f(x)=x(1-x)$."
)
NAMES = (
    "Among the poets were Li Bai (李白), Du Fu (杜甫), Wang Wei (王維), Bai Juyi (白居易) and Meng Haoran "
    "(孟浩然), who all lived during the Tang dynasty in China."
)
NAMES_2 = (
    "Li Bai (李白), Du Fu (杜甫), Wang Wei (王維), Bai Juyi (白居易) and Meng Haoran (孟浩然) were poets of the "
    "Tang dynasty, during which they all lived in China."
)
LIST = (
    "- Alan Stevenson - Skerryvore - Tiree - Hynish - Mull - Iona - Skye - Oban - Glasgow - "
    "Edinburgh - Dubh Artach - Ardnamurchan - Cape Wrath - Muckle Flugga - 48 m, 1838–1844"
)


@pytest.mark.parametrize(
    ("source", "rewrite"),
    [
        *((NO, NO_2), (NO, DA), (DA, NO), (NO, NN), (SR_LATIN, SR_LATIN_2), (SR_LATIN, HR), (HR, BS), (SR_LATIN, SR)),
        *((MS, ID), (CS, SK), (GL, PT), (JA_LOANS, JA_PLAIN), (JA_PLAIN, JA_LOANS), (MATH, MATH_2), (NAMES, NAMES_2)),
        (EN, LIST),
        ("Ulm lies on the Danube.", "On the Danube lies Ulm."),
        ("Ja, das ist gut.", "Gut ist das, ja."),
        ("Compute $2+2$.", "Find $2+2$."),
        ("Evaluate $\\log_2 8$.", "What is $\\log_2 8$?"),
    ],
)
def test_the_same_language(source, rewrite):
    assert other_language(source, rewrite) is None


@pytest.mark.parametrize(
    ("source", "rewrite"),
    [
        *((EN, NO), (EN, SR_LATIN), (NO, EN), (EN, PT), (PT, EN), (ZH, EN), (EN, ZH), (ZH, JA), (JA, ZH), (EN, SR)),
        *((DE, EN), (EN, FR), (ES, DE), (EN, RU), (RU, EN), (MATH, MS), (SR_LATIN, CS)),
        ("Il faro è alto.", "The tower is high and beautiful in the sun."),
        ("Ulm lies on the Danube.", "Ulm liegt an der Donau und ist schön."),
        ("Das Buch ist alt.", "The book is old."),
        ("Он пришёл домой.", "He came home."),
        ("他回家了。", "He came home."),
        ("He came home.", "他回家了。"),
        ("He came home.", "Он пришёл домой."),
    ],
)
def test_another_language(source, rewrite):
    assert other_language(source, rewrite)[0] == "wrong_language"


@pytest.mark.parametrize(
    "text",
    [
        *(EN, MATH, NAMES, LIST, "Compute $2+2$.", "3 + 4 = 7", "Pi is π, and λ is a wavelength."),
        "Janez has 3 apples. Matej gives Janez 4 apples. Tanja buys 7 apples. How many apples have Janez and Tanja?",
    ],
)
def test_it_is_english(text):
    assert not_english("", text) is None


@pytest.mark.parametrize(
    "text",
    [NO, "Berechne die Fläche.", "Wie viele Äpfel hat Anna?", "Сколько яблок у Анны?", "安娜有多少个苹果？"],
)
def test_it_is_not_english(text):
    assert not_english("", text)[0] == "wrong_language"
