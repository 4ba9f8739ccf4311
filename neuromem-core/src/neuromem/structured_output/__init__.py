"""Asking a model for JSON and reading what comes back, shared by extraction and digest.

It may import `plugin`, `domain` and `errors`; the rooms above declare their replies as pydantic models
(`ingest/extraction/reply_models.py`, `digest/reply_models.py`). Begin with `ask.ask_for_json`; it
uses `json_reply` (find and parse the object) and is given a reader made of `items` (validate one by one), `coerce`
(forms of values) and `schema` (the JSON schema derived from the models); `labels` names the data of a prompt.
"""
