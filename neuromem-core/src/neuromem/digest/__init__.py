"""Finds insights: what several memories of a user show together, batch by batch, and how the user feels.

It may import `ingest`, `jobs`, `recall`, `structured_output`, `store` and `domain`. Begin with `service.DigestService`:
it takes a batch, finds `related_memories`, asks the model (`prompt_input`, `reply_models`), reconciles new insights
with known ones (`reconcile`) and stores them (`commit`); `emotion_profile` is arithmetic over stored emotions.
"""
