"""The rules of Pulumi ESC, over its stand-in."""
