"""Units of measure: their spellings, dimensions and sizes.

pint knows sizes, dimensions and prefixes. A spelling may stand for several
units: a pound is a weight or money, a dollar is that of any of two dozen countries. Letter case carries meaning in
symbols (mW, MW), so a symbol is looked up as written first.
"""

import re
from dataclasses import dataclass
from functools import lru_cache

import pint

from fidelity.facts.reading.measures.currencies import currency_spellings, money
from fidelity.facts.reading.measures.measure import Measure, Unit, dimension

# Each line: dimension (- for that of pint), units of pint, prefixes, symbols | words.
_TABLE = """
- meter nµmcdkM m | meter metre
- inch . in. ″ | inch
- foot . ft ′ | foot
- yard . yd | yard
- mile . mi | mile
- nautical_mile . nmi NM | nautical_mile sea_mile
- light_year . ly | light_year lightyear
- angstrom . Å | angstrom ångström
- astronomical_unit . AU au | astronomical_unit
- parsec kM pc | parsec
- gram nµmk g | gram gramme
- pound . lb lbs | .
- pound,GBP,EGP,LBP,SYP,SSP,SDG . . | pound
- ounce,fluid_ounce,troy_ounce . oz | ounce
- fluid_ounce,imperial_fluid_ounce . fl_oz floz fl._oz. | fluid_ounce
- stone . st | stone
- metric_ton kMG t | tonne metric_ton
- ton,long_ton,metric_ton kM . | ton
- short_ton . . | short_ton
- long_ton . . | long_ton
- carat . ct | carat
- second nµmpf s sec secs | second
- minute . min mins | minute
- hour . h hr hrs | hour
- day . d | day
- week . wk wks | week
- fortnight . . | fortnight
- month . mo mos | month
- year kMG yr | year
- year . yrs | .
- year*10 . . | decade
- century . . | century
- millennium . . | millennium
- acre . ac | acre
- hectare . ha | hectare
- liter µmcdh l L ℓ | liter litre
- milliliter . cc ccm | cubic_centimeter
- gallon,imperial_gallon . gal gals | gallon
- pint,imperial_pint . pt pts | pint
- quart,imperial_quart . qt qts | quart
- cup . . | cup
- tablespoon . tbsp tbsps Tbsp | tablespoon
- teaspoon . tsp tsps | teaspoon
- oil_barrel . bbl bbls | barrel
- bushel . bu | bushel
- degree_Celsius . °C ℃ | celsius centigrade
- degree_Fahrenheit . °F ℉ | fahrenheit
- kelvin m K °K | kelvin
angle,-,- degree,degree_Celsius,degree_Fahrenheit . ° deg | degree
angle radian m rad | radian
- joule mkMG J | joule
- calorie,kilocalorie . cal | calorie
- kilocalorie . kcal Cal | kilocalorie
- electron_volt mkMGT eV | electron_volt electronvolt
- watt_hour kMGT Wh | watt_hour
- british_thermal_unit . BTU Btu | .
- watt nµmkMGT W | watt
- horsepower . hp HP bhp | horsepower
- volt µmkM V | volt
- ampere nµmk A | ampere amp
- ohm mkM Ω Ω | ohm
- newton mkM N | newton
- pascal mhkMG Pa | pascal
- bar m bar | .
- atmosphere . atm | atmosphere
- psi . psi | .
- mmHg . mmHg | .
- mole nµm mol | .
- molar nµmp M | molar
- tesla nµm T | tesla
- becquerel kMGT Bq | becquerel
- sievert µm Sv | sievert
- gray µm Gy | .
- degree_Celsius,coulomb . C | .
- coulomb nµm . | coulomb
- degree_Fahrenheit,farad . F | .
- farad pnµm . | farad
- hertz mkMGT Hz | hertz
data byte kMGTP B | byte
data bit kMGTP bit | bit
data kibibyte . KiB | kibibyte
data mebibyte . MiB | mebibyte
data gibibyte . GiB | gibibyte
[time]^-1_data^1 kilobit/second . kbps kbit/s kb/s | .
[time]^-1_data^1 megabit/second . Mbps Mbit/s Mb/s | .
[time]^-1_data^1 gigabit/second . Gbps Gbit/s Gb/s | .
- mile/hour . mph | .
- kilometer/hour . kph kmh kmph | .
- mile/gallon . mpg | .
- foot/second . fps | .
- knot . kn kt kts | knot
turns revolutions_per_minute . rpm RPM | .
beats count/minute . bpm BPM | .
decibel decibel . dB | decibel
share percent . % ٪ ﹪ ％ pct pct. p.c. | percent per_cent
share ppm*1000 . ‰ | per_mille permille
share ppm . ppm | .
share ppm/1000 . ppb | .
points percent . . | percentage_point percent_point
points percent/100 . bp bps | basis_point
pixels pixel kM px | pixel
"""
_PREFIXES = dict(
    zip("fpnµmcdhkMGTP", "femto pico nano micro milli centi deci hecto kilo mega giga tera peta".split(), strict=True)
)
_IRREGULAR = {"foot": "feet", "inch": "inches", "century": "centuries", "hertz": "hertz", "stone": "stone"}
_IRREGULAR |= {"celsius": "celsius", "fahrenheit": "fahrenheit", "centigrade": "centigrade", "percent": "percent"}
_IRREGULAR |= {"per_cent": "per_cent", "horsepower": "horsepower", "millennium": "millennia"}
# In sloppy lower or upper case the common unit is meant, even where another has that very symbol.
_SLOPPY = {"mhz": "MHz", "ghz": "GHz", "khz": "kHz", "mb": "MB", "gb": "GB", "tb": "TB", "kwh": "kWh"}
_SLOPPY |= {"kg": "kg", "km": "km", "cm": "cm", "mm": "mm", "ml": "mL", "KW": "kW", "KHz": "kHz", "GHZ": "GHz"}
_SLOPPY |= {"MHZ": "MHz", "KHZ": "kHz", "KPA": "kPa", "KM": "km", "KG": "kg", "CM": "cm", "FT": "ft", "mcg": "µg"}
_SLOPPY |= {"Kg": "kg", "Km": "km", "Cm": "cm", "Ml": "mL", "Mg": "mg", "Ft": "ft", "LB": "lb", "LBS": "lb"}
_SLOPPY |= {"KB": "kB", "ML": "mL", "kps": "kbps", "kb": "kbit", "Kb": "kbit", "Mb": "Mbit", "Gb": "Gbit", "Tb": "Tbit"}
# Symbols that read as two units because people do not mind their case: "mw" is mW or MW.
_EITHER = {"mw": ("mW", "MW"), "mpa": ("mPa", "MPa")}
# Symbols of two units.
_EITHER |= {"kt": ("kt", "kn")}


@lru_cache(maxsize=1)
def _registry() -> pint.UnitRegistry:
    return pint.UnitRegistry()


def _measure(name: str, kind: str = "-") -> Measure:
    registry = _registry()
    factor = 1.0
    if match := re.fullmatch(r"(\w+)([*/])(10+)", name):  # pint's "decade" is one of frequencies
        name, factor = match.group(1), float(match.group(3)) ** (1 if match.group(2) == "*" else -1)
    zero = registry.Quantity(0, name).to_base_units()
    one = registry.Quantity(1, name).to_base_units()
    size = float((one.magnitude - zero.magnitude) * factor)
    return Measure(dimension(str(one.dimensionality)) if kind == "-" else kind, size, float(zero.magnitude))


@dataclass(frozen=True, slots=True)
class _Spellings:
    symbols: dict[str, Unit]  # as written
    words: dict[str, Unit]  # in lower case, with spaces


@lru_cache(maxsize=1)
def _spellings() -> _Spellings:
    symbols: dict[str, Unit] = {}
    words: dict[str, Unit] = {}
    currencies = money()
    for line in _TABLE.strip().split("\n"):
        head, _, tail = line.partition("|")
        dimensions, names, prefixes, *signs = head.split()
        dims = dimensions.replace("_", " ").split(",")
        for prefix in ("", *prefixes.strip(".")):
            measures = tuple(
                currencies[name] if name in currencies else _measure(_PREFIXES.get(prefix, "") + name, dim)
                for name, dim in zip(names.split(","), dims * 9, strict=False)
            )
            first = [sign for sign in signs if sign != "."] or tail.split()
            # "mph" is miles per hour: "60 miles" with the hour left out is the same.
            above = (_measure(names.partition("/")[0]),) if re.match(r"[a-z_]+/[a-z]", names) and dims == ["-"] else ()
            if dims == ["[time]^-1 data^1"]:
                above = (_measure(names.partition("/")[0], "data"),)
            unit = Unit(prefix + first[0].replace("_", " "), measures, above)
            for sign in signs:
                if sign != ".":
                    symbols.setdefault(prefix + sign.replace("_", " "), unit)
                    if prefix == "µ":
                        symbols.setdefault("μ" + sign, unit)
            for word in tail.split():
                if word != ".":
                    for form in (word, _IRREGULAR.get(word, f"{word}s")):
                        words.setdefault((_PREFIXES.get(prefix, "") + form).replace("_", " "), unit)
    words["kilo"] = words["kilos"] = symbols["kg"]
    words["millenniums"] = words["millennia"]
    words["micron"] = words["microns"] = symbols["µm"]
    for sloppy, sign in _SLOPPY.items():
        symbols.setdefault(sloppy, symbols[sign])
    for sloppy, (a, b) in _EITHER.items():
        symbols[sloppy] = Unit(sloppy, symbols[a].measures + symbols[b].measures)
    for sign, unit in currency_spellings().items():
        # "500 won" after digits; in words it is a verb.
        (words if sign.islower() and len(sign) > 2 and sign != "won" else symbols).setdefault(sign, unit)
    return _Spellings(symbols, words)


def by_symbol(symbol: str) -> Unit | None:
    """The unit of a symbol, in which letter case matters."""
    return _spellings().symbols.get(symbol)


def by_word(word: str) -> Unit | None:
    """The unit of a word or words in lower case, separated by single spaces."""
    return _spellings().words.get(word)
