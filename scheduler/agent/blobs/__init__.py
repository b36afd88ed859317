"""Blobs on a node: where bytes lie, and how they travel between nodes.

Objects lie in a directory that all nodes mount; intermediates lie on the node that made them.
`stores` is both, as one node sees them.

- Reading from other nodes: `fetch` gets a blob, `cache` keeps copies that map tasks need as
  files, `prefetch` gets inputs before their tasks run, `feed_sources` opens what a reducer reads.
- Giving to other nodes: `server` answers `GET /blobs/ID` to who has a ticket.
- `sweep` removes what an earlier agent of this node left; `transfer_metrics` counts bytes.

A blob is never changed, so a copy is as good as the original, and a read that broke off
continues at its offset.
"""
