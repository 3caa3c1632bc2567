"""GitLab's own rules, over its stand-in."""
