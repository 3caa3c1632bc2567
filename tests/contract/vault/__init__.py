"""The providers vault and openBao against a real OpenBao, and against a stub where OpenBao has no such thing."""
