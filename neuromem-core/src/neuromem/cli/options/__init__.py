"""Options that several commands share, as decorators, and the types of their values.

It may import `neuromem.errors` and, when a command runs, what opens a memory.
Begin with `user.user_options`, which most commands use.
"""
