"""What a run came to, for people: words and colours, the summary, the progress line, the terminal view, the data
card.

The HTML report is the business of `flows.report`.
"""
