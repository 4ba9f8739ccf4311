"""Values without I/O: what goes into neuromem and what comes out, and the checks of arguments.

It may import `errors` only. Begin reading at `messages` and `memories`; `query` and `recall_result` are the two ends of
recall.
"""
