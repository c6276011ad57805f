"""Units of measure: their spellings, dimensions and sizes."""

from dataclasses import dataclass

# Each line: dimension, size in the dimension's base unit, spellings.
_TABLE = """
length 1 m meter meters metre metres
length 0.001 mm millimeter millimeters millimetre millimetres
length 0.01 cm centimeter centimeters centimetre centimetres
length 1000 km kilometer kilometers kilometre kilometres
length 0.0254 inch inches
length 0.3048 ft foot feet
length 0.9144 yd yard yards
length 1609.344 mi mile miles
mass 0.001 mg milligram milligrams
mass 1 g gram grams gramme grammes
mass 1000 kg kilogram kilograms kilo kilos
mass 453.592 lb lbs pound pounds
mass 28.3495 oz ounce ounces
mass 1000000 tonne tonnes
mass 907185 ton tons
time 0.001 ms millisecond milliseconds
time 1 sec secs second seconds
time 60 min mins minute minutes
time 3600 hr hrs hour hours
time 86400 day days
time 604800 week weeks
time 2629800 month months
time 31557600 yr yrs year years
time 315576000 decade decades
time 3155760000 century centuries
area 1 m² m2
area 1000000 km² km2
area 4046.86 acre acres
area 10000 ha hectare hectares
volume 1 l liter liters litre litres
volume 0.001 ml milliliter milliliters millilitre millilitres
volume 3.78541 gal gallon gallons
volume 0.473176 pint pints
volume 0.946353 quart quarts
volume 0.24 cup cups
volume 158.987 barrel barrels
temperature:celsius 1 °c celsius
temperature:fahrenheit 1 °f fahrenheit
temperature:kelvin 1 kelvin
energy 1 j joule joules
energy 1000 kj kilojoule kilojoules
energy 4184 kcal calorie calories
energy 3600000 kwh
power 1 w watt watts
power 1000 kw kilowatt kilowatts
power 1000000 mw megawatt megawatts
power 1000000000 gw gigawatt gigawatts
data 1 byte bytes
data 1000 kb kilobyte kilobytes
data 1000000 mb megabyte megabytes
data 1000000000 gb gigabyte gigabytes
data 1000000000000 tb terabyte terabytes
frequency 1 hz hertz
frequency 1000 khz kilohertz
frequency 1000000 mhz megahertz
frequency 1000000000 ghz gigahertz
angle 1 degree degrees °
share 0.01 % percent percentage pct
share 0.0001 bp bps basis_points
money:dollar 1 $ dollar dollars usd us$ a$ c$ buck bucks
money:cent 1 ¢ cent cents
money:euro 1 € euro euros eur
money:sterling 1 £ gbp sterling
money:yen 1 ¥ yen jpy
money:yuan 1 yuan rmb cny
money:rupee 1 ₹ rupee rupees inr
money:ruble 1 ₽ ruble rubles rouble roubles rub
money:franc 1 franc francs
money:krona 1 krona kronor krone kroner
"""


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit of measure; `size` is in the dimension's base unit."""

    name: str
    dimension: str
    size: float


def _read(table: str) -> dict[str, Unit]:
    units: dict[str, Unit] = {}
    for line in table.split("\n"):
        if line:
            dimension, size, *names = line.split()
            unit = Unit(names[0], dimension, float(size))
            units.update((name.replace("_", " "), unit) for name in names)
    return units


UNITS = _read(_TABLE)
PERCENT = UNITS["%"]
# "5 m", "3 g": these are units only right after a number in digits; "in" and "a" never are.
SHORT = frozenset(name for name in UNITS if len(name) <= 2)
