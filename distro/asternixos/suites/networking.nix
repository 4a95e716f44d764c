# Networking: sockets, tools, encrypted connections, all on one machine.
{
  owner = "@asterinas/distro";
  description = "loopback, netlink, TLS, SSH, copying";
  packages = [ "iproute2" "iputils" "socat" "netcat-openbsd" "openssl" "openssh" "rsync" "python3" ];
  cases = [
    { name = "ip-address"; package = "iproute2"; run = "ip -4 -o addr show lo"; expect = "127\\.0\\.0\\.1/8"; timeout = 60; }
    { name = "ip-link"; package = "iproute2"; run = "ip -o link show lo"; expect = "LOOPBACK"; timeout = 60; }
    { name = "ping"; package = "iputils"; run = "ping -c 1 -W 5 127.0.0.1"; expect = "1 received"; timeout = 60; }
    { name = "netcat"; package = "netcat-openbsd"; run = "(nc -l 127.0.0.1 7001 > /tmp/nc.out & echo $! > /tmp/nc.pid); for i in $(seq 20); do echo over tcp | nc -N -w 10 127.0.0.1 7001 && break; sleep 1; done; for i in $(seq 20); do [ -s /tmp/nc.out ] && break; sleep 1; done; cat /tmp/nc.out"; expect = "^over tcp$"; timeout = 60; }
    { name = "netcat-udp"; package = "netcat-openbsd"; run = "(timeout 40 nc -u -l 127.0.0.1 7002 > /tmp/ncu.out & echo $! > /tmp/ncu.pid); for i in $(seq 10); do echo over udp | nc -u -w 1 127.0.0.1 7002; [ -s /tmp/ncu.out ] && break; done; head -n 1 /tmp/ncu.out; kill $(cat /tmp/ncu.pid)"; expect = "^over udp$"; timeout = 60; }
    { name = "netcat-unix"; package = "netcat-openbsd"; run = "rm -f /tmp/s.sock; (nc -lU /tmp/s.sock > /tmp/ncx.out &); for i in $(seq 20); do echo over unix | nc -N -U /tmp/s.sock && break; sleep 1; done; for i in $(seq 20); do [ -s /tmp/ncx.out ] && break; sleep 1; done; cat /tmp/ncx.out"; expect = "^over unix$"; timeout = 60; }
    { name = "socat"; package = "socat"; timeout = 120; run = "(timeout 60 socat TCP-LISTEN:7003,bind=127.0.0.1,reuseaddr,fork EXEC:'tr a-z A-Z' & echo $! > /tmp/socat.pid); for i in $(seq 8); do r=$(echo shout | timeout 20 socat -t 5 - TCP:127.0.0.1:7003 2>/dev/null); [ -n \"$r\" ] && break; sleep 1; done; kill $(cat /tmp/socat.pid); echo $r"; expect = "^SHOUT$"; }
    { name = "openssl-digest"; package = "openssl"; run = "printf abc | openssl dgst -sha512 | tail -c 17"; expect = "^2a9ac94fa54ca49f$"; timeout = 60; }
    { name = "openssl-tls"; package = "openssl"; run = "cd /tmp && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout k.pem -out c.pem -subj /CN=localhost -days 2 2>/dev/null && (timeout 30 openssl s_server -accept 127.0.0.1:7004 -cert c.pem -key k.pem -quiet -www > /dev/null 2>&1 & echo $! > /tmp/tls.pid); for i in $(seq 10); do echo Q | timeout 20 openssl s_client -connect 127.0.0.1:7004 -CAfile c.pem 2>/dev/null | grep -m 1 'Verify return code' && break; sleep 1; done; kill $(cat /tmp/tls.pid)"; expect = "Verify return code: 0 \\(ok\\)"; timeout = 90; }
    { name = "ssh-keygen"; package = "openssh"; run = "rm -f /tmp/id*; ssh-keygen -q -t ed25519 -N '' -f /tmp/id && ssh-keygen -lf /tmp/id.pub"; expect = "SHA256:.*\\(ED25519\\)"; timeout = 60; }
    { name = "ssh"; package = "openssh"; run = "mkdir -p -m 755 /run/sshd && mkdir -p -m 700 /root/.ssh && rm -f /tmp/hk* /tmp/ck*; ssh-keygen -q -t ed25519 -N '' -f /tmp/hk && ssh-keygen -q -t ed25519 -N '' -f /tmp/ck && cp /tmp/ck.pub /root/.ssh/authorized_keys && ($(command -v sshd || echo /usr/sbin/sshd) -D -e -f /dev/null -p 7005 -h /tmp/hk -o ListenAddress=127.0.0.1 -o UsePAM=no -o PidFile=none > /tmp/sshd.log 2>&1 & echo $! > /tmp/sshd.pid); timeout 60 ssh -n -o ConnectionAttempts=30 -i /tmp/ck -p 7005 -o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR root@127.0.0.1 echo through ssh; r=$?; [ $r = 0 ] || tail -n 5 /tmp/sshd.log; kill $(cat /tmp/sshd.pid); exit $r"; expect = "^through ssh$"; timeout = 120; }
    { name = "rsync"; package = "rsync"; run = "rm -rf /tmp/ra /tmp/rb; mkdir -p /tmp/ra/d && seq 500 > /tmp/ra/d/n && rsync -a /tmp/ra/ /tmp/rb/ && cmp /tmp/ra/d/n /tmp/rb/d/n && echo copied"; expect = "^copied$"; timeout = 60; }
    { name = "epoll"; package = "python3"; run = "python3 -c 'import select, socket; a, b = socket.socketpair(); e = select.epoll(); e.register(b, select.EPOLLIN); a.send(b\"x\"); print(len(e.poll(5)))'"; expect = "^1$"; timeout = 60; }
  ];
}
