# What is particular to this machine: its kernel and its root partition. The installer writes this file.
{ }
