"""The words that all layers share: what an attempt, a verdict, a secret and an error are."""
