"""The results of a run, for people: wording and colours, summary, progress line, terminal view, data card.

The HTML report is in `flows.report`.
"""
