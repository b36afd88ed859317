"""Access: the caller of a request, and its permission to do what the request asks.

`authentication` finds the caller: by an HTTP signature, a presigned URL, or a token. `tokens`
makes and recognises tokens, which stand for one key of one account and end with it.
`permissions` has the one check that every path passes, before a handler is called.

Example: `GET /jill/public/x` without a proof is allowed, `/jill/stor/x` is not, and the reply
does not tell whether it exists.
"""
