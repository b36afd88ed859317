"""Instances as containers of containerd, for root, and for tasks of users who do not trust each
other.

A container costs a tenth of a second, once, since many tasks run in it one after another, and a
task in it costs no more than in a process. So containerd only *holds* a container. Everything else
that makes it an instance is ours, and is made outside before it starts:

    disk      a file system in a file, as large as the tier says        `disk`
    root      an overlay: an image below, that disk above               `rootfs`, `mounts`, `users`
    control   a directory of two sockets, seen as /.remora, read-only
    spec      namespaces, users, caps, what is mounted, what is refused   `spec`
    lackey    process 1, which calls the agent at the first socket

Two consequences follow:

- containerd keeps nothing that could be collected, leaked or out of date: we make ten calls to it
  (`client`), which are described by tables (`api`, `codec`).
- Everything has a name that can be found again: `instances/3` in the paths of mounts and control
  groups, `remora-OWNER-3` and labels on the container. So an agent needs no state of its
  predecessor to continue with its instances, or to remove them (`provider`).

`daemon` is a containerd of our own, unless the agent is given one; `machine` says which programs
are missing.

Example: for a tier of 256 MiB and 8 GiB, `instances/3/root` is 8 GiB large and empty but for
the image, container `remora-OWNER-3` may use 256 MiB and no swap, its root is user 1610809344
of the machine, and what a task writes to `/tmp/x` the agent sees as `instances/3/root/tmp/x`.
"""
