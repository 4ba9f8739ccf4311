"""Documents of a user: their passages, and where the bytes of their files are stored.

May import `store.search_index` and the rooms below it; knows neither memories nor graph nor kv.
Begin with `documents.py`; `objects.py` decides when the object that holds the bytes of a file is deleted.
"""
