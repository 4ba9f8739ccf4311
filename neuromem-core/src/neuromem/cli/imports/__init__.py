"""Reads files of messages from elsewhere: JSON Lines, and exports of ChatGPT and Claude.

It may import `neuromem.domain`, `neuromem.ingest` for the formats, and the options and output of the command line.
Begin with `jsonl.MessageFile`.
"""
