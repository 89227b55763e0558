"""The pure engine in a world that goes wrong: random plans, and whatever can happen to a run, from one seed."""
