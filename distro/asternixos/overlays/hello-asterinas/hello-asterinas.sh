# Greets from the kernel it runs on; /proc is read without any other program.
set -eu
read -r _ _ version _ < /proc/version
[ -n "$version" ]
echo "Hello Asterinas! This kernel calls itself $version."
