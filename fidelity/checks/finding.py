"""What a check found wrong with a rewrite."""

# The reject reason, and a detail for people.
Finding = tuple[str, str]
