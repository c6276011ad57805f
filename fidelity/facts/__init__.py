"""Typed facts: `reading` extracts them from both texts, `comparing` compares them. No model is needed."""
