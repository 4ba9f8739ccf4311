"""From a file's bytes to searchable passages: receive, parse, cut, store.

Files are parsed in a process of their own (`parse_worker`, started by `parser_process`), because they come from
strangers. This room may import `store`, `jobs` and `domain`. Begin reading at `upload`.
"""
