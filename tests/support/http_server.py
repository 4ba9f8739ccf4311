"""The HTTP server of the kit for plugin authors, under the name that the tests here know it by."""

from __future__ import annotations

from neuromem.testing.http_server import Answer, HttpServer, Reply, Request, running_server

__all__ = ["Answer", "HttpServer", "Reply", "Request", "running_server"]
