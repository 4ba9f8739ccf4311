"""Storing messages and files, and making memories, vectors and passages of them.

It may import `jobs`, `structured_output`, `store` and what lies below, not `recall`. Begin reading at `service`, which
stores messages; the jobs that it enqueues are done by `embedding` and `extraction`; `documents` stores files.
"""
