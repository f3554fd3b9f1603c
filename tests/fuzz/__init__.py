"""Coverage-guided fuzzing of everything that reads a server's bytes: `python -m tests.fuzz`, which needs atheris.

`targets` says what is called and what must hold, `answers` makes valid answers for the target of that name, `mutations`
changes inputs, and `corpus` holds the inputs that an ordinary test replays.
"""
