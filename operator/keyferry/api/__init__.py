"""Typed models of the custom resources: pure data, parsed once at the door.

Belongs here: pydantic models, their field descriptions and validation rules, and the schemas made of them; parsing of
the string formats used in them (Go durations, cron windows). Does not belong here: anything that acts on an object.
"""
