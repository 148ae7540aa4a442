"""Settings for every test. `tests` itself is on the path: `from support.… import …`."""

from hypothesis import settings

# Examples take as long as the machine is busy: a time limit per example would only make tests flaky.
settings.register_profile("necto", deadline=None, max_examples=60)
settings.load_profile("necto")
