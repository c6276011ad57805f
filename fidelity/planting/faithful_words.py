"""Words that are interchangeable in nearly every sentence, for `faithful`."""


def _table(pairs: str) -> dict[str, str]:
    return dict(pair.strip().split(" = ") for pair in pairs.strip().split("\n"))


SYNONYMS = _table("""
began = started
begins = starts
however = nevertheless
therefore = hence
purchased = bought
buys = purchases
utilized = used
obtained = got
approximately = about
numerous = many
frequently = often
often = frequently
rapidly = quickly
quickly = rapidly
demonstrated = showed
demonstrates = shows
shows = demonstrates
assist = help
assisted = helped
helped = assisted
constructed = built
built = constructed
nearly = almost
almost = nearly
entire = whole
whole = entire
requires = needs
located = situated
situated = located
significant = important
important = significant
children = kids
altogether = in total
additional = further
attempted = tried
tried = attempted
received = got
although = even though
in order to = to
primarily = mainly
mainly = primarily
allowed = permitted
permitted = allowed
throughout = all through
due to = because of
as well as = and also
for example = for instance
for instance = for example
commonly = usually
citizens = inhabitants
soon = before long
large number of = great number of
wealthy = rich
large = big
huge = enormous
enormous = huge
start = begin
starting = beginning
finished = completed
completed = finished
created = produced
provides = offers
offered = provided
famous = well-known
well-known = famous
mistake = error
idea = notion
ideas = notions
goal = aim
goals = aims
job = occupation
jobs = occupations
journey = trip
opportunity = chance
happened = occurred
occurred = happened
occurs = happens
appeared = emerged
asked = requested
needs = requires
wanted = wished
argued = maintained
believed = thought
led to = resulted in
resulted in = led to
consists of = is made up of
moved = relocated
returned = came back
gathered = collected
collected = gathered
particularly = especially
especially = particularly
merely = only
perhaps = maybe
certainly = surely
eventually = in the end
currently = at present
recently = lately
entirely = completely
largely = mostly
mostly = largely
moreover = furthermore
furthermore = moreover
besides = apart from
amongst = among
until = till
regarding = about
concerning = about
states that = says that
clearly = obviously
choose = select
ensure = make sure
initially = at first
consequently = as a result
""")

CONTRACTIONS = _table("""
did not = didn't
does not = doesn't
do not = don't
is not = isn't
was not = wasn't
were not = weren't
are not = aren't
could not = couldn't
would not = wouldn't
should not = shouldn't
has not = hasn't
had not = hadn't
cannot = can't
it is = it's
they are = they're
we are = we're
""")

# "John Smith" may become "Smith" only where John is a given name: "United States" is not one.
GIVEN_NAMES = frozenset(
    """Abraham Adam Albert Alexander Alfred Alice Andrew Ann Anna Anne Anthony Arthur Barack Benjamin Betty Charles
    Christopher Daniel David Donald Dorothy Edgar Edmund Edward Eleanor Elizabeth Emma Ernest Eugene Ferdinand Francis
    Frank Franklin Frederick George Gerald Harold Harriet Harry Helen Henry Herbert Horace Howard Hugh Isaac Jack Jackie
    Jacob James Jane Jean Jefferson Jimmy Joan John Joseph Karl Kate Lawrence Lewis Louis Louisa Lucy Margaret Maria
    Mark Martha Martin Mary Michael Nancy Nathaniel Nicholas Oliver Oscar Patrick Paul Peter Philip Ralph Richard Robert
    Ronald Rosa Rose Roy Ruth Samuel Sarah Simon Sophia Stephen Susan Theodore Thomas Ulysses Victor Victoria Virginia
    Walter Warren William Woodrow""".split()
)

# A sentence that starts with one of these may be joined to the one before it.
OPENINGS = ("He", "She", "It", "They", "This", "These", "The", "His", "Her", "Their", "We", "There", "Its")
