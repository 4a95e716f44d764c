# Databases: they write, sync, lock, and come back.
{
  owner = "@asterinas/distro";
  description = "SQLite, Redis, PostgreSQL, memcached";
  packages = [ "sqlite" "redis" "postgresql" "memcached" ];
  memory = 1024;
  cases = [
    { name = "sqlite"; package = "sqlite"; run = "rm -f /tmp/s.db; sqlite3 /tmp/s.db 'create table t(n integer); insert into t values (1),(2),(3); select sum(n) from t;'"; expect = "^6$"; timeout = 60; }
    { name = "sqlite-wal"; package = "sqlite"; run = "rm -f /tmp/w.db*; sqlite3 /tmp/w.db 'pragma journal_mode=wal; create table t(n); insert into t values (7); select n from t;'"; expect = "^wal\\s+7$"; timeout = 60; }
    { name = "sqlite-reopen"; package = "sqlite"; run = "rm -f /root/p.db; sqlite3 /root/p.db 'create table t(n); insert into t values (41)' && sync && sqlite3 /root/p.db 'select n + 1 from t'"; expect = "^42$"; timeout = 60; }
    { name = "redis"; package = "redis"; run = "cd /tmp && (redis-server --port 6379 --save '' --daemonize no > /tmp/redis.log 2>&1 & echo $! > /tmp/redis.pid); for i in $(seq 20); do redis-cli ping > /tmp/pong 2>/dev/null && break; sleep 0.5; done; redis-cli set k 5 && redis-cli incrby k 37; r=$?; kill $(cat /tmp/redis.pid); exit $r"; expect = "^OK\\s+(\\(integer\\) )?42"; timeout = 90; }
    { name = "memcached"; package = "memcached"; run = "(memcached -u root -l 127.0.0.1 -p 11211 -t 1 > /tmp/mc.log 2>&1 & echo $! > /tmp/mc.pid); for i in $(seq 20); do printf 'set k 0 0 5\\r\\nhello\\r\\nget k\\r\\nquit\\r\\n' | nc -w 10 127.0.0.1 11211; r=$?; [ $r = 0 ] && break; sleep 1; done; kill $(cat /tmp/mc.pid); exit $r"; expect = "STORED\\s+VALUE k 0 5\\s+hello"; timeout = 90; }
    { name = "postgresql"; package = "postgresql"; run = "PATH=$PATH:$(echo /usr/lib/postgresql/*/bin); id postgres > /dev/null && rm -rf /tmp/pg && mkdir -m 700 /tmp/pg && chown postgres /tmp/pg && cd /tmp && pg=\"setpriv --reuid=postgres --regid=postgres --clear-groups\" && $pg $(command -v initdb) -D /tmp/pg -A trust --no-sync > /tmp/initdb.log 2>&1 || { tail -n 5 /tmp/initdb.log; exit 1; }; $pg $(command -v pg_ctl) -D /tmp/pg -o '-k /tmp -h \"\"' -l /tmp/pg.log -w -t 120 start > /dev/null || { tail -n 5 /tmp/pg.log; exit 1; }; $pg $(command -v psql) -h /tmp -d postgres -Atc 'select sum(i) from generate_series(1, 100) i'; r=$?; $pg $(command -v pg_ctl) -D /tmp/pg -m fast stop > /dev/null; exit $r"; expect = "^5050$"; timeout = 300; }
  ];
}
