# Languages: interpreters and compilers that run and build programs.
{
  owner = "@asterinas/distro";
  description = "interpreters, compilers, build tools";
  packages = [ "python3" "perl" "ruby" "nodejs" "lua5_4" "tcl" "guile" "php" "sbcl" "gcc" "gnumake" "git" "m4" "bison" "flex" "binutils" ];
  memory = 1024;
  cases = [
    { name = "python3"; package = "python3"; run = "python3 -c 'import json, hashlib; print(json.dumps({\"h\": hashlib.md5(b\"a\").hexdigest()}))'"; expect = "0cc175b9c0f1b6a831c399e269772661"; timeout = 60; }
    { name = "python3-threads"; package = "python3"; run = "python3 -c 'from concurrent.futures import ThreadPoolExecutor as T; print(sum(T(4).map(lambda n: n*n, range(100))))'"; expect = "^328350$"; timeout = 60; }
    { name = "python3-subprocess"; package = "python3"; run = "python3 -c 'import subprocess; print(subprocess.run([\"cat\"], input=b\"piped\", capture_output=True).stdout.decode())'"; expect = "^piped$"; timeout = 60; }
    { name = "python3-multiprocessing"; package = "python3"; run = "python3 -c 'import multiprocessing as m; p=m.get_context(\"fork\").Pool(2); print(sum(p.map(abs, range(-50, 0))))'"; expect = "^1275$"; timeout = 90; }
    { name = "python3-asyncio"; package = "python3"; run = "python3 -c 'import asyncio; f=lambda n: asyncio.sleep(0.01, n); print(asyncio.run(asyncio.wait_for(f(5), 20)))'"; expect = "^5$"; timeout = 90; }
    { name = "python3-mmap"; package = "python3"; run = "python3 -c 'import mmap; f=open(\"/tmp/mm\",\"w+b\"); f.truncate(8192); m=mmap.mmap(f.fileno(), 8192); m[5000:5003]=b\"abc\"; m.flush(); f.seek(5000); print(f.read(3))'"; expect = "^b'abc'$"; timeout = 60; }
    { name = "perl"; package = "perl"; run = "perl -MList::Util=sum -e 'print sum(map { $_ ** 2 } 1..10), \"\\n\"'"; expect = "^385$"; }
    { name = "perl-fork"; package = "perl"; run = "perl -e 'pipe R, W; if (fork) { close W; print scalar <R>; wait } else { print W \"from the child\\n\" }'"; expect = "^from the child$"; }
    { name = "ruby"; package = "ruby"; run = "ruby -e 'puts (1..20).reduce(:*)'"; expect = "^2432902008176640000$"; timeout = 60; }
    { name = "nodejs"; package = "nodejs"; run = "node -e 'Promise.all([1,2,3].map(async n => n * 2)).then(r => console.log(r.join()))'"; expect = "^2,4,6$"; timeout = 120; }
    { name = "nodejs-workers"; package = "nodejs"; run = "node -e 'const {Worker} = require(\"worker_threads\"); new Worker(\"require(\\\"worker_threads\\\").parentPort.postMessage(6*7)\", {eval: true}).on(\"message\", m => console.log(\"worker says\", m))'"; expect = "^worker says 42$"; timeout = 120; }
    { name = "lua"; package = "lua5_4"; run = "lua -e 'local c = coroutine.wrap(function() for i = 1, 3 do coroutine.yield(i) end end); print(c() + c() + c())'"; expect = "^6$"; }
    { name = "tcl"; package = "tcl"; run = "echo 'puts [expr {2 ** 64}]' | tclsh"; expect = "^18446744073709551616$"; }
    { name = "guile"; package = "guile"; run = "guile -c '(display (apply + (iota 101))) (newline)'"; expect = "^5050"; timeout = 120; }
    { name = "php"; package = "php"; run = "php -r 'echo implode(\",\", array_map(fn($n) => $n ** 2, range(1, 4))), \"\\n\";'"; expect = "^1,4,9,16$"; timeout = 60; }
    { name = "sbcl"; package = "sbcl"; run = "sbcl --noinform --no-sysinit --no-userinit --eval '(progn (print (reduce (function *) (loop for i from 1 to 25 collect i))) (terpri) (sb-ext:exit :code 0))'"; expect = "15511210043330985984000000"; timeout = 90; }
    { name = "gcc"; package = "gcc"; run = "cd /tmp && echo 'int puts(const char*); int main(void){ puts(\"compiled\"); return 3; }' > prog.c && gcc -O1 -o prog prog.c && ./prog"; expect = "^compiled$"; status = 3; timeout = 90; }
    { name = "gcc-threads"; package = "gcc"; run = "cd /tmp && printf '#include <pthread.h>\\n#include <stdio.h>\\nstatic void *f(void *p){ *(int*)p = 42; return p; }\\nint main(void){ pthread_t t; int v = 0; pthread_create(&t, 0, f, &v); pthread_join(t, 0); printf(\"thread %%d\\\\n\", v); return 0; }\\n' > t.c && gcc -pthread -o t t.c && ./t"; expect = "^thread 42$"; timeout = 90; }
    { name = "g++"; package = "gcc"; run = "cd /tmp && printf '#include <iostream>\\n#include <vector>\\nint main(){ std::vector<int> v{3,1,2}; try { throw v.size(); } catch (size_t n) { std::cout << \"caught \" << n << std::endl; } }\\n' > x.cc && g++ -o x x.cc && ./x"; expect = "^caught 3$"; timeout = 120; }
    { name = "make"; package = "gnumake"; run = "mkdir -p /tmp/mk && cd /tmp/mk && printf 'all: a b\\n\\t@echo all of it\\na b:\\n\\t@echo $@ > $@\\n' > Makefile && make -j2 && cat a b"; expect = "^all of it\\s+a\\s+b$"; }
    { name = "git"; package = "git"; run = "rm -rf /tmp/r && git init -q /tmp/r && cd /tmp/r && echo 1 > f && git add f && git -c user.name=n -c user.email=e@x commit -qm first && git clone -q /tmp/r /tmp/r/c && git -C c log --format=%s"; expect = "^first$"; timeout = 90; }
    { name = "m4"; package = "m4"; run = "echo 'define(twice, $1$1)twice(ab)' | m4"; expect = "^abab$"; }
    { name = "bison-flex"; package = "bison"; run = "cd /tmp && printf '%%%%option noyywrap\\n%%%%%%%%\\n[0-9]+ { printf(\"number %%%%s\\\\n\", yytext); }\\n.|\\\\n { }\\n%%%%%%%%\\nint main(void){ return yylex(); }\\n' | sed 's/%%/%/g' > l.l && flex -o l.c l.l && gcc -o l l.c && echo 'x 17 y' | ./l && printf '%%token A\\n%%%%%%%%\\ns: A;\\n' | sed 's/%%/%/g' > g.y && bison -o g.c g.y && test -s g.c && echo parser"; expect = "^number 17\\s+parser$"; timeout = 120; }
    { name = "objdump"; package = "binutils"; run = "objdump -f $(command -v objdump) | grep -m 1 architecture"; expect = "i386:x86-64"; timeout = 60; }
  ];
}
