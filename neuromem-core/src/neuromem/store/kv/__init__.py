"""Key-value pairs of a user, and the profile as the namespace whose past and sources are kept.

May import `store.search_index` and the rooms below it; knows neither memories nor graph nor documents.
Begin with `kv.py`; `profile_erasure.py` decides what is left of a profile when messages are erased.
"""
