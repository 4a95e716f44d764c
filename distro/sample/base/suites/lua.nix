# Lua and its packages.
{ pkgs, kernel }:
{
  system = pkgs.makeSystem {
    name = "lua";
    inherit kernel;
    packages = [ pkgs.lua pkgs.lua-cjson ];
  };
  cases = [
    { name = "boots to a shell"; run = "echo ready"; expect = "^ready$"; smoke = true; }
    { name = "lua starts"; package = "lua"; run = "lua -v"; expect = "^Lua 5"; }
    { name = "lua concatenates tables"; package = "lua"; run = "lua -e 'print(table.concat({1, 2, 3}, \"-\"))'"; expect = "^1-2-3$"; }
    { name = "lua sorts tables"; package = "lua"; run = "lua -e 't = {3, 1, 2} table.sort(t) print(t[1], t[2], t[3])'"; expect = "^1\\s+2\\s+3$"; }
    { name = "lua runs coroutines"; package = "lua"; run = "lua -e 'f = coroutine.wrap(function() for i = 1, 3 do coroutine.yield(i) end end) print(f() + f() + f())'"; expect = "^6$"; }
    { name = "lua reports errors"; package = "lua"; run = "lua -e 'error(\"on purpose\")'"; status = 1; expect = "on purpose"; }
    { name = "cjson encodes"; package = "lua-cjson"; run = "lua -e 'print(require(\"cjson\").encode({1, 2}))'"; expect = "^\\[1,2\\]$"; }
    { name = "cjson decodes"; package = "lua-cjson"; run = "lua -e 'print(require(\"cjson\").decode(\"{\\\"a\\\":\\\"b\\\"}\").a)'"; expect = "^b$"; }
  ];
}
