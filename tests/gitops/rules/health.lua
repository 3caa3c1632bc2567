-- The health of ExternalSecret, SecretStore and ClusterSecretStore: the first Ready condition that is decided has the
-- word, whatever generation it speaks of. Without one the object is still on its way.
local words = { True = "Healthy", False = "Degraded" }
local conditions = obj.status and obj.status.conditions or {}

for _, each in ipairs(conditions) do
  local word = each.type == "Ready" and words[each.status]
  if word then
    return { status = word, message = each.message }
  end
end

return { status = "Progressing", message = "Waiting for " .. obj.kind }
