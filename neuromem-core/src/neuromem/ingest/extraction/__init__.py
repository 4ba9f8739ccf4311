"""Turns stored messages into memories, relations and the user's profile: one `extract` job is one window of messages.

It may import `structured_output`, `store`, `plugin` and `domain`. Begin with `handler`, which serves the jobs and
passes a window on: `prompt_input` and `llm_extractor` (ask the model), `reply_models` (its reply), `validate` and
`profile_changes` (what of it may be stored), `reconcile` (new statements against known memories), `commit`.
"""
