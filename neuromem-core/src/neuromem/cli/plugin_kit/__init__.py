"""What authors of plugins use: a distribution to begin with, and a check of an installed one.

It may import the registry and `neuromem.plugin`, and needs neither click nor rich, so that tests of plugins can use it.
Begin with `scaffold.write_distribution` and `distribution_check.check_distribution`.
"""
