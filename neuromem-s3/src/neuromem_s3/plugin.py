"""The hooks of neuromem-s3; its class is imported when it is chosen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from neuromem.errors import ConfigurationError
from neuromem.plugin import ObjectStorage, ProviderSpec, hookimpl

if TYPE_CHECKING:
    from neuromem.plugin import Context

_OPTIONS = (
    "endpoint",
    "access_key",
    "secret_key",
    "session_token",
    "bucket",
    "region",
    "virtual_host",
    "create_bucket",
)


@hookimpl
def neuromem_storages() -> list[ProviderSpec[ObjectStorage]]:
    """Offer a bucket."""
    return [ProviderSpec("s3", _storage, "A bucket of Amazon S3 or an S3-compatible server")]


def _storage(ctx: Context) -> ObjectStorage:
    from neuromem_s3.storage import S3Storage

    unknown = sorted(set(ctx.options) - set(_OPTIONS))
    if unknown:
        raise ConfigurationError(
            f"The plugin 's3' has no option {unknown[0]!r}; it knows {', '.join(_OPTIONS)}."
        )
    options = dict(ctx.options)
    region = ctx.env.get("AWS_REGION") or ctx.env.get("AWS_DEFAULT_REGION")
    if region:
        options.setdefault("region", region)
    if ctx.model:  # "s3:my-bucket"
        options["bucket"] = ctx.model
    return S3Storage(env=ctx.env, **options)
