"""The facts laboratory: invented people, their texts, the arms that read them, one run, and the report of all runs."""
