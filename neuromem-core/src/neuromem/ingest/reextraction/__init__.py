"""``reextract()``: messages are extracted again, and what is found replaces what was derived from them before.

It may import `ingest.extraction`, `store` and `domain`. Begin with `service`, which extracts window after window
against a `replay` (memories as they would be without what is replaced), compares the result with the stored memories
(`diff`) and with the profile (`profile_diff`), and stores or reports the difference.
"""
