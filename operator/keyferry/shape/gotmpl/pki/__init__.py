"""Keys, certificates and their containers by the rules of Go's ``crypto/x509``, ``encoding/pem`` and ``go-pkcs12``.

Bytes in, bytes out. What is wrong with the bytes is raised as ``FunctionError``, whose message never shows them. The
arithmetic is the ``cryptography`` library's; the formats are written here, since they have to be Go's to the byte.
"""
