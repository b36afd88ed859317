# What `remora cluster` needs, for a token that can do no more. Policies themselves need a management token.
namespace "default" {
  capabilities = ["list-jobs", "parse-job", "read-job", "submit-job", "alloc-lifecycle", "read-logs"]

  variables {
    path "nomad/jobs/remora-*" {
      capabilities = ["list", "read", "write"]
    }
  }
}

node {
  policy = "write"
}

agent {
  policy = "read"
}

operator {
  policy = "read"
}
