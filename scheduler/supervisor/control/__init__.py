"""Control: what users ask of jobs that run: to suspend, resume, complete, abort or update one, or one of its tasks.

`requests` carries requests out, in a transaction of the job's owner; `cancelling` ends jobs of any type, also those
that outlive the job whose task created them.
"""
