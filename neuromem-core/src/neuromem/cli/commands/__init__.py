"""One module per command: its arguments, the call into neuromem, and what is printed.

It may import everything of neuromem but `neuromem.testing`; what commands share is in `options` and `output`.
Begin with `recall`, a complete one.
"""
