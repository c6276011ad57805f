"""Token utility: what each source, recipe, style and repetition was worth to the model, and the mixture to use next."""
