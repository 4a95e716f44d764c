# Later overlays see what earlier ones made.
[
  (import ./hello)
  (import ./bzip2)
  (import ./lua)
  (import ./lua-filesystem)
  (import ./motd)
]
