# A web server, in one machine from start to stop.
{ pkgs, kernel }:
{
  system = pkgs.makeSystem {
    name = "network";
    inherit kernel;
    packages = [ pkgs.mini-httpd ];
  };
  machine = "ordered";
  cases = [
    { name = "the loopback interface is up"; run = "ping -c 1 -W 5 127.0.0.1"; expect = "1 packets received"; smoke = true; }
    { name = "mini-httpd starts"; package = "mini-httpd"; run = "mkdir -p /srv && echo served >/srv/index.html && mini_httpd -p 80 -d /srv -i /run/httpd.pid && sleep 1 && test -s /run/httpd.pid"; }
    { name = "it serves over IPv4"; package = "mini-httpd"; run = "wget -q -O - http://127.0.0.1/"; expect = "^served$"; }
    { name = "it serves over IPv6"; package = "mini-httpd"; run = "wget -q -O - 'http://[::1]/'"; expect = "^served$"; }
    { name = "it answers 404"; package = "mini-httpd"; run = "wget -q -O - http://127.0.0.1/nothing"; status = 1; }
    { name = "it stops"; package = "mini-httpd"; run = "kill $(cat /run/httpd.pid) && sleep 1 && wget -q -O - http://127.0.0.1/"; status = 1; }
  ];
}
