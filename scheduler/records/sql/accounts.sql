-- insert_account: an account; fails if the login is taken.
INSERT INTO accounts (login, created) VALUES (:login, :created);

-- find_account: whether a login exists.
SELECT login, created FROM accounts WHERE login = :login;

-- show_account: everything about an account.
SELECT login, created, keep_jobs, operator, disabled, limits FROM accounts WHERE login = :login;

-- set_operator: whether an account is an operator's.
UPDATE accounts SET operator = :operator WHERE login = :login;

-- disable_account: since when the keys of an account open nothing; 0: they do.
UPDATE accounts SET disabled = :since WHERE login = :login;

-- set_limits: the limits of an account that are not the service's.
UPDATE accounts SET limits = :limits WHERE login = :login;

-- list_accounts: all accounts of users, how many keys each has, how long it keeps jobs, and what is special about it.
SELECT login, created, (SELECT count(*) FROM keys WHERE keys.login = accounts.login AND removed = 0) AS keys, keep_jobs, operator, disabled
FROM accounts WHERE login <> 'poseidon' OR EXISTS (SELECT 1 FROM keys WHERE keys.login = accounts.login)
ORDER BY login;

-- revoke_account: credentials that the account's keys issued before :now are void.
UPDATE accounts SET revoked = :now WHERE login = :login;

-- keep_jobs: how long an account keeps jobs that are done.
UPDATE accounts SET keep_jobs = :seconds WHERE login = :login;

-- put_key: register a public key, anew if it was removed, or replace the text of one that is there.
INSERT INTO keys (login, fingerprint, public, added) VALUES (:login, :fingerprint, :public, :added)
ON CONFLICT (login, fingerprint) DO UPDATE SET public = excluded.public,
    added = CASE WHEN keys.removed = 0 THEN keys.added ELSE excluded.added END, removed = 0;

-- find_key: one key of an account by its MD5 fingerprint, and since when credentials of the account are valid.
SELECT public, added, revoked, operator, disabled, limits FROM keys JOIN accounts ON accounts.login = keys.login
WHERE keys.login = :login AND fingerprint = :fingerprint AND removed = 0;

-- list_keys: all keys of an account.
SELECT fingerprint, public FROM keys WHERE login = :login AND removed = 0 ORDER BY fingerprint;

-- remove_key: a key is no longer valid.
UPDATE keys SET removed = :now WHERE login = :login AND fingerprint = :fingerprint;

-- find_removed_key: whether a key was an account's, and is no more.
SELECT removed FROM keys WHERE login = :login AND fingerprint = :fingerprint AND removed <> 0;

-- oldest_account: the first account of a user.
SELECT login FROM accounts WHERE login <> 'poseidon' OR EXISTS (SELECT 1 FROM keys WHERE keys.login = accounts.login)
ORDER BY created, login LIMIT 1;
