"""What every API server must do that Keyferry runs on: the sandbox, envtest, a real cluster."""
