"""Background jobs: the worker that claims them, retries them and keeps their leases alive.

Imports the store and what is below it; the handlers that do the work are in `ingest` and `digest`, and `runtime` gives
them to the worker. Begin with `worker`; which kinds of jobs there are is in `neuromem.store.queue.job_kinds`.
"""
