"""The checks of ``neuromem doctor``.

It may import settings, registry and `neuromem.admin`; the command that prints them is `neuromem.cli.commands.doctor`.
Begin with `checks.Checkup.run`, which runs them in their order.
"""
