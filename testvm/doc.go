// Package testvm runs kernels that cannot be trusted in QEMU and always tells
// how they ended, and whose fault it was.
//
// A Machine is shaped like exec.Cmd: fill its fields, Start it, and Wait for
// its Ending. Its Args are pure, so the command line can be tested, printed
// and run by hand. While it runs, a Session executes commands at the shell
// prompt the guest gives on its console, and a Snapshot turns one boot into
// any number of copy-on-write forks.
//
//	m := testvm.Machine{Profile: testvm.Linux, Kernel: &testvm.Kernel{Image: "vmlinuz", Initrd: "initrd"}}
//	g, err := m.Start(ctx)           // an error here is ours, never the guest's
//	s, err := g.Session(ctx)         // waits for a prompt, whatever it looks like
//	r, err := s.Run(ctx, testvm.Command{Run: "uname -r"})
//	ending := g.Stop(ctx)            // asks the guest to power off; never fails to end
//
// Nothing is shared between machines: consoles and QMP are inherited pipes and
// sockets, scratch disks are unlinked files, the memory of a snapshot is an
// anonymous file. When this process is killed, the kernel cleans all of it up.
package testvm
