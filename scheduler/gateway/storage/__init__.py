"""Storage: objects and directories over HTTP.

`routes` maps a method and a path to a handler. `objects` writes and reads objects; `listing` lists
a directory, a page at a time; `headers` makes the headers that describe an entry in a reply;
`download` sends a file and counts its bytes.

Names and conditions are decided in `scheduler.objects`; bytes go from file to socket without
passing through this process.
"""
