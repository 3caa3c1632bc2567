"""Cases: manifests and what happens to them in, Secrets, statuses, Events, reads and writes out.

A case is a folder with two files. ``in.yaml`` is a list of steps; its first comment names the rule that it pins. A step
has a name (``step``) and verbs, done in the order in which they are written:

==============  =======================================================================================================
``flags``       the operator is started anew with these flags
``stopped``     true: the operator is stopped before the step, and started anew by the next step that lacks this
``provider``    key to value: the data of a fake SecretStore named "store"
``apply``       manifests for server-side apply
``create``      manifests as another program leaves them, ``status`` and all; ``as`` names its field manager
``edit``        merge patches by another hand, each with the object's kind and name; ``as`` names its field manager
``delete``      objects, as "Kind name"
``terminating`` a namespace: the watch tells that it is going away
``advance``     a duration for which nothing happens but what is due
==============  =======================================================================================================

``out.yaml`` has expectations by the name of a step. "Kind name" describes an object (null: there is none) by the parts
that matter (``view``); ``data`` is always the whole of it. ``events`` are those of the step, ``reads`` the calls to
stores in it, ``writes`` the writes of the operator in it other than Events, ``refused`` what the API server said to
manifests that it did not take.

In both files NAMESPACE is the case's own namespace and NEIGHBOUR another one, START the moment at which the case
begins (``START+1h`` one hour later), API_SERVER and API_CA the address and the CA of the API server. Manifests need
no apiVersion and no namespace. ``!repeat [text, times]`` is a long text, ``!sha3 text`` a hash, ``!contains text`` any
text with that in it.

Every case ends with the demand that another look at every object writes nothing and tells nothing. A value that starts
with "canary-" must never be seen in a status, an Event or the log.
"""
