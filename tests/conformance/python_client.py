"""What `test_python_client.py` has Joyent's client for Python do, in an environment of its own: one JSON object out."""

import json
import os
import sys

import manta

client = manta.MantaClient(
    os.environ["MANTA_URL"], os.environ["MANTA_USER"], signer=manta.CLISigner(key_id=os.environ["MANTA_KEY_ID"])
)
home = f"/{os.environ['MANTA_USER']}/stor"


def text(value):
    return value.decode() if isinstance(value, bytes) else value


def objects():
    client.mkdirp(f"{home}/python/a/b")
    client.put_object(f"{home}/python/a/one", content=b"one\n", content_type="text/plain")
    client.ln(f"{home}/python/a/one", f"{home}/python/two")
    return {
        "got": text(client.get_object(f"{home}/python/two")),
        "listed": sorted(client.ls(f"{home}/python")),
        "walked": sorted(top for top, _, _ in client.walk(f"{home}/python")),
        "kind": client.stat(f"{home}/python/two")["type"],
    }


def job():
    phases = [{"exec": "cat; grep -q two <<< $MANTA_INPUT_OBJECT && exit 7; true"}, {"type": "reduce", "exec": "sort"}]
    made = client.create_job(phases, name="by-python")
    client.add_job_inputs(made, [f"{home}/python/a/one", f"{home}/python/two"])
    client.end_job_input(made)
    return made


def lists(made):
    (output,) = client.get_job_output(made)
    return {
        "state": client.get_job(made)["state"],
        "output": text(client.get_object(text(output))),
        "inputs": [text(name) for name in client.get_job_input(made)],
        "failures": [text(name) for name in client.get_job_failures(made)],
        "errors": client.get_job_errors(made),
        "named": [each["name"] for each in client.list_jobs(state="live")],
    }


def refused():
    try:
        client.get_object(f"{home}/python/none")
    except manta.MantaAPIError as error:
        return [error.res["status"], error.code]
    return None


print(json.dumps({"objects": objects, "job": job, "lists": lists, "refused": refused}[sys.argv[1]](*sys.argv[2:])))
