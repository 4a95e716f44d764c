# A kernel as the entry takes it, with the fields the modules read: null, an image, or { image; ... }.
# What is missing means the profile's defaults.
kernel:
if kernel == null then
  null
else
  {
    profile = "linux";
    protocol = "bzimage";
    modules = null;
    params = [ ];
    given = kernel;
  }
  // (if builtins.isAttrs kernel && kernel ? image then kernel else { image = kernel; })
