final: prev: {
  # What greets at login.
  motd = final.replaceVarsWith {
    src = ./motd.sh;
    name = "motd";
    dir = "bin";
    isExecutable = true;
    replacements = {
      greeter = final.lib.getExe final.hello;
      lua = final.lib.getExe final.lua;
    };
    meta.description = "The message of the day";
  };
}
