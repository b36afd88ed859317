-- Where the interactive session of a job is: the gateway with the master's connection.
CREATE TABLE sessions (
    job      INTEGER PRIMARY KEY,
    gateway  TEXT NOT NULL,             -- URL at which other gateways reach it
    holder   TEXT NOT NULL              -- id of the session, made at random: another one may have come since
);
