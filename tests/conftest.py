"""What holds for all tests."""

from hypothesis import settings

# No test fails for being slow: machines are shared, and coverage slows everything down.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")
