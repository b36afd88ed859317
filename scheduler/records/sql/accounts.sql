-- insert_account: an account; fails if the login is taken.
INSERT INTO accounts (login, created) VALUES (:login, :created);

-- find_account: whether a login exists.
SELECT login, created FROM accounts WHERE login = :login;

-- list_accounts: all accounts, and how many keys each has.
SELECT login, created, (SELECT count(*) FROM keys WHERE keys.login = accounts.login) AS keys
FROM accounts ORDER BY login;

-- revoke_account: what its keys gave out before :now counts no more.
UPDATE accounts SET revoked = :now WHERE login = :login;

-- put_key: register a public key, or replace the text of one that is there.
INSERT INTO keys (login, fingerprint, public, added) VALUES (:login, :fingerprint, :public, :added)
ON CONFLICT (login, fingerprint) DO UPDATE SET public = excluded.public;

-- find_key: one key of an account by its MD5 fingerprint, and since when credentials of the account count.
SELECT public, added, revoked FROM keys JOIN accounts ON accounts.login = keys.login
WHERE keys.login = :login AND fingerprint = :fingerprint;

-- list_keys: all keys of an account.
SELECT fingerprint, public FROM keys WHERE login = :login ORDER BY fingerprint;

-- delete_key: forget a key.
DELETE FROM keys WHERE login = :login AND fingerprint = :fingerprint;

-- oldest_account: the first account of the service.
SELECT login FROM accounts ORDER BY created, login LIMIT 1;
