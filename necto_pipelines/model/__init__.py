"""The nouns of Necto, each in the module of its name. Imports nothing of ours but the failures."""
