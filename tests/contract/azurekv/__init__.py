"""The provider azurekv against Azure on loopback, through Microsoft's SDKs and TLS."""
