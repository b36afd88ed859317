"""Storage: objects and directories over HTTP.

`routes` says which handler a method and a path have. `objects` writes and reads objects;
`listing` lists a directory, a page at a time; `headers` says what a reply tells of an entry;
`download` sends a file and counts it.

Names and conditions are decided in `scheduler.objects`; bytes go from file to socket without
passing through this process.
"""
