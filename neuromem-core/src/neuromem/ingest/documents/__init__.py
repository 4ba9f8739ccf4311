"""From a file's bytes to passages: received, parsed in a process of its own, stored with its object."""
