/*
 * init - the first process of a tinypkgs guest, on Linux and Asterinas alike.
 *
 * Mounts what programs expect, loads the kernel modules listed in /lib/modules/load (Linux only: Asterinas has none),
 * enters the root disk if root= says so, runs /etc/rc, and keeps a shell on the console: hvc0 if there is one, else ttyS0.
 *
 * It is a static C program because a busybox shell started through "#!" cannot run its own applets on Asterinas.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void say(const char *format, ...)
{
	char line[512];
	va_list args;
	va_start(args, format);
	int n = vsnprintf(line, sizeof line - 1, format, args);
	va_end(args);
	if (n > (int)sizeof line - 2)
		n = sizeof line - 2;
	line[n] = '\n';
	if (write(2, line, n + 1) < 0)
		return;
}

/*
 * mount_all mounts the kernel's file systems below a root; what is already there, or unknown to this kernel, is fine.
 * Asterinas has no devtmpfs: it fills /dev of the first root by itself, so that one moves along.
 */
static void mount_all(const char *root)
{
	static const struct { const char *type, *dir, *options; } all[] = {
		{ "proc", "/proc", 0 },          { "sysfs", "/sys", 0 },
		{ "devtmpfs", "/dev", 0 },       { "devpts", "/dev/pts", 0 },
		{ "tmpfs", "/dev/shm", 0 },      { "tmpfs", "/tmp", "mode=1777" },
		{ "tmpfs", "/run", "mode=755" },
	};
	char dir[256];
	for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
		snprintf(dir, sizeof dir, "%s%s", root, all[i].dir);
		mkdir(dir, 0755);
		if (mount(all[i].type, dir, all[i].type, 0, all[i].options) && *root && !strcmp(all[i].dir, "/dev"))
			if (mount("/dev", dir, 0, MS_MOVE, 0) && mount("/dev", dir, 0, MS_BIND | MS_REC, 0))
				say("init: the new root has no devices: %s", strerror(errno));
	}
}

/* open_console makes the standard streams a terminal, as a new session's own if asked to. */
static int open_console(const char *path, int own)
{
	if (own)
		setsid();
	int fd = open(path, O_RDWR | (own ? 0 : O_NOCTTY));
	if (fd < 0)
		return -1;
	for (int i = 0; i < 3; i++)
		dup2(fd, i);
	if (fd > 2)
		close(fd);
	if (own)
		ioctl(0, TIOCSCTTY, 0);
	return 0;
}

static void load_modules(void)
{
	FILE *list = fopen("/lib/modules/load", "r");
	char path[512];
	while (list && fgets(path, sizeof path, list)) {
		path[strcspn(path, "\n")] = 0;
		int fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0 || (syscall(SYS_finit_module, fd, "", 0) < 0 && errno != EEXIST))
			say("init: cannot load %s: %s", path, strerror(errno));
		if (fd >= 0)
			close(fd);
	}
	if (list)
		fclose(list);
}

/* parameter finds name= in the arguments (what follows "--" on the kernel's command line), then in the command line. */
static char *parameter(char **argv, const char *name)
{
	static char line[4096];
	size_t n = strlen(name);
	for (char **a = argv + 1; *a; a++)
		if (!strncmp(*a, name, n))
			return *a + n;
	int fd = open("/proc/cmdline", O_RDONLY);
	ssize_t got = fd < 0 ? -1 : read(fd, line, sizeof line - 1);
	if (fd >= 0)
		close(fd);
	line[got > 0 ? got : 0] = 0;
	for (char *word = strtok(line, " \n"); word; word = strtok(0, " \n"))
		if (!strncmp(word, name, n))
			return word + n;
	return 0;
}

/* enter_root makes the root disk the root directory. The disk may take a moment to appear. */
static void enter_root(const char *disk)
{
	static const char *types[] = { "ext2", "ext4" };
	int done = 0, why = 0;
	mkdir("/root", 0755);
	for (int tries = 0; !done && tries < 500; tries++) {
		for (size_t i = 0; !done && i < sizeof types / sizeof *types; i++) {
			done = !mount(disk, "/root", types[i], 0, 0);
			if (!done && errno != ENODEV) /* ENODEV: the kernel does not know the type */
				why = errno;
		}
		if (!done)
			usleep(10000);
	}
	if (!done) {
		say("init: cannot mount the root disk %s: %s", disk, strerror(why ? why : ENODEV));
		exit(1); /* the kernel panics, and whoever looks sees why */
	}
	mount_all("/root");
	/* The disk becomes the root of the mount namespace, too: in a mere chroot Linux refuses user namespaces. */
	if (!chdir("/root"))
		mount(".", "/", 0, MS_MOVE, 0);
	if (chroot(".") || chdir("/")) {
		say("init: cannot enter the root disk %s: %s", disk, strerror(errno));
		exit(1);
	}
	say("init: root is %s", disk);
}

static void loopback_up(void)
{
	struct ifreq request = { .ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING };
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	if (fd < 0)
		return;
	ioctl(fd, SIOCSIFFLAGS, &request);
	close(fd);
}

/* console finds the terminal to talk on. A virtio console shows up a little after its driver. */
static const char *console(void)
{
	for (int tries = 0; tries < 20; tries++) {
		int fd = open("/dev/hvc0", O_RDWR | O_NOCTTY);
		if (fd >= 0) {
			close(fd);
			return "/dev/hvc0";
		}
		if (access("/sys/bus/virtio/drivers/virtio_console", F_OK))
			break;
		usleep(10000);
	}
	return access("/dev/ttyS0", F_OK) ? "/dev/console" : "/dev/ttyS0";
}

static pid_t start(const char *terminal, char **command)
{
	pid_t pid = fork();
	if (pid)
		return pid;
	open_console(terminal, 1);
	execv(command[0], command);
	/* A shell that does not start, its loader broken say, must not cost the console. */
	execl("/bin/busybox", "sh", (char *)0);
	say("init: cannot start %s: %s", command[0], strerror(errno));
	_exit(127);
}

/* wait_for waits for one child and reaps every orphan on the way. */
static void wait_for(pid_t pid)
{
	for (;;) {
		pid_t done = wait(0);
		if (done == pid || (done < 0 && errno != EINTR))
			return;
	}
}

int main(int argc, char **argv)
{
	(void)argc;
	mount_all("");
	open_console("/dev/console", 0);
	load_modules();
	char *root = parameter(argv, "root=");
	if (root && *root == '/')
		enter_root(root);
	sethostname("guest", 5);
	loopback_up();
	setenv("PATH", "/sw/bin:/bin", 1);
	setenv("HOME", "/", 1);
	setenv("TERM", "dumb", 1);
	setenv("PS1", "guest# ", 1);

	const char *terminal = console();
	char *rc[] = { "/bin/sh", "/etc/rc", 0 };
	char *shell[] = { "/bin/sh", 0 };
	if (!access(rc[1], F_OK))
		wait_for(start(terminal, rc));
	for (;;) {
		wait_for(start(terminal, shell));
		usleep(100000);
	}
}
