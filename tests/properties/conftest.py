from hypothesis import settings

# How long an example takes says more of the machine than of the code.
settings.register_profile("no clock", deadline=None)
settings.load_profile("no clock")
