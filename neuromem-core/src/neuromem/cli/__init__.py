"""The ``neuromem`` command, which needs the extra ``cli``.

It may import everything of neuromem but `neuromem.testing`, and nothing imports it except `neuromem.__main__` and the
check of plugins in `neuromem.testing`.
Begin with `app`, the list of commands; each is a file in `commands`.
"""
