-- jobs_by_beginning: the jobs on record whose id begins with a text.
SELECT * FROM jobs WHERE uuid >= :beginning AND uuid < :beyond ORDER BY uuid LIMIT :limit;

-- job_directories_by_beginning: directories of jobs, of an account, whose name begins with a text.
SELECT name FROM entries WHERE dir = :dir AND name >= :beginning AND name < :beyond ORDER BY name LIMIT :limit;

-- logins: all accounts.
SELECT login FROM accounts ORDER BY login;

-- newest_job: the job that was created last.
SELECT * FROM jobs ORDER BY id DESC LIMIT 1;
