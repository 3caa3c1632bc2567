-- The action "refresh" of an ExternalSecret. It is greyed out where the interval is a bare zero, with one unit or
-- without, unless the object syncs on change.
local interval = tostring(obj.spec.refreshInterval)
local never = false
for _, unit in ipairs({ "", "ns", "us", "µs", "ms", "s", "m", "h" }) do
  never = never or interval == "0" .. unit
end

return { refresh = { disabled = never and obj.spec.refreshPolicy ~= "OnChange" } }
