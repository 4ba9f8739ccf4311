"""Writes the pages and figures that come from the code, when the site is built; nothing of it is checked in."""
