"""Request bodies: read with a limit, parsed once, frozen."""
