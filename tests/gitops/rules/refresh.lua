-- What the action "refresh" makes of an ExternalSecret: the moment, in UTC, as the annotation "force-sync".
obj.metadata.annotations = obj.metadata.annotations or {}
obj.metadata.annotations["force-sync"] = os.date("!%Y-%m-%dT%H:%M:%SZ")
return obj
