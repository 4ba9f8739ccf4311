"""HTTP for providers: the one client, and the embeddings call that most vendors share.

Not re-exported by ``neuromem.plugin``, because it brings httpx with it: import it in the module of a
provider, which is loaded when the provider is chosen.
"""

from __future__ import annotations

from neuromem.plugin.http.client import HttpClient
from neuromem.plugin.http.embeddings import HttpEmbedding
from neuromem.plugin.http.failures import HttpStatusError
from neuromem.plugin.http.retry import Retry

__all__ = ["HttpClient", "HttpEmbedding", "HttpStatusError", "Retry"]
