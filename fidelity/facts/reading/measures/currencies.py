"""Currencies: their names, codes and signs, from Babel.

A sign or a name may be that of several currencies: a dollar is that of any of two dozen countries, ¥ is yen or yuan.
"""

from functools import lru_cache

from babel import Locale
from babel.core import get_global
from babel.numbers import get_currency_name, get_currency_symbol, list_currencies

from fidelity.facts.reading.measures.measure import Measure, Unit

# Signs and abbreviations that Babel does not have, and parts of currencies.
_SIGNS = {
    "$": "dollar peso", "£": "pound", "¥": "yen yuan", "￥": "yen yuan", "kr": "krona krone króna", "₨": "rupee",
    "Rs": "rupee", "Rs.": "rupee", "Fr": "franc", "Fr.": "franc", "₤": "lira pound", "元": "yuan", "円": "yen",
}  # fmt: skip
_CODES = {"US$": "USD", "USD$": "USD", "C$": "CAD", "AU$": "AUD", "S$": "SGD", "zł": "PLN", "Kč": "CZK", "RM": "MYR"}
_CODES |= {
    "renminbi": "CNY",
    "rmb": "CNY",
    "RMB": "CNY",
    "pounds sterling": "GBP",
    "pound sterling": "GBP",
    "sterling": "GBP",
    "quid": "GBP",
    "₺": "TRY",
    "₹": "INR",
}
_CODES |= {"₽": "RUB", "₸": "KZT", "₴": "UAH", "₱": "PHP", "₦": "NGN", "₪": "ILS", "฿": "THB", "₡": "CRC", "₲": "PYG"}
_CODES |= {"₵": "GHS", "₾": "GEL", "₼": "AZN", "֏": "AMD", "A$": "AUD", "NZ$": "NZD", "HK$": "HKD", "roubles": "RUB"}
_CODES |= {"rouble": "RUB", "yuan": "CNY", "NT$": "TWD", "R$": "BRL", "bucks": "USD", "buck": "USD", "reais": "BRL"}
_CODES |= {"won": "KRW", "CDN$": "CAD", "Can$": "CAD", "CAN$": "CAD", "Mex$": "MXN", "JP¥": "JPY", "E£": "EGP"}
_CODES |= {"brazilian reais": "BRL", "korean won": "KRW", "south korean won": "KRW"}
# Names of currencies that are everyday words.
_EVERYDAY = frozenset("real reals won sum som lev leu leva lei lek colón mark marks gold silver all top vatu".split())


@lru_cache(maxsize=1)
def money() -> dict[str, Measure]:
    """The currencies that are legal tender somewhere, by ISO 4217 code."""
    tender = {
        code
        for currencies in get_global("territory_currencies").values()
        for code, _start, end, is_tender in currencies
        if end is None and is_tender
    }
    return {code: Measure(f"money:{code}", 1.0) for code in sorted(tender & list_currencies("en"))}


@lru_cache(maxsize=1)
def currency_spellings() -> dict[str, Unit]:
    """Every name in lower case, code and sign of a currency, and the parts of currencies."""
    english = Locale.parse("en")
    spellings: dict[str, Unit] = {}
    nouns: dict[str, set[str]] = {}
    for code, measure in money().items():
        unit = Unit(code, (measure,))
        spellings[code] = unit
        if (sign := get_currency_symbol(code, english)) not in _SIGNS:
            spellings[sign] = unit
        for count in (1, 2):
            name = get_currency_name(code, count, english).lower()
            spellings[name] = unit
            if (noun := name.split()[-1]) not in _EVERYDAY:
                nouns.setdefault(noun, set()).add(code)
    for noun, codes in nouns.items():
        spellings.setdefault(noun, _one_of(noun, codes, 1.0))
    spellings["cfa franc"] = spellings["cfa francs"] = _one_of("CFA franc", {"XAF", "XOF"}, 1.0)
    cents = nouns["dollars"] | {"EUR", "ZAR"}
    parts = {"cent": cents, "penny": {"GBP", "USD"}, "pence": {"GBP"}, "kopek": {"RUB"}, "paisa": {"INR", "PKR"}}
    for noun, codes in parts.items():
        spellings[noun] = _one_of(noun, codes, 0.01)
    spellings |= {"cents": spellings["cent"], "kopeks": spellings["kopek"], "paise": spellings["paisa"]}
    spellings["¢"] = spellings["cent"]
    spellings["p"] = spellings["pence"]
    for sign, names in _SIGNS.items():
        codes = {code for name in names.split() for code in nouns.get(name, ())}
        spellings[sign] = _one_of(sign, codes, 1.0)
    for sign, code in _CODES.items():
        spellings[sign] = Unit(code, (money()[code],))
    return spellings


def _one_of(name: str, codes: set[str], size: float) -> Unit:
    return Unit(name, tuple(Measure(f"money:{code}", size) for code in sorted(codes)))
