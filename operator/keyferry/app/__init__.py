"""Everything that knows kopf or the process. What an object's manifest means does not belong here."""
