# The permissions that `remora cluster` needs, and no more. To write policies takes a management token.
namespace "default" {
  capabilities = ["list-jobs", "parse-job", "read-job", "submit-job", "alloc-lifecycle", "read-logs"]

  variables {
    path "nomad/jobs/remora-*" {
      capabilities = ["list", "read", "write", "destroy"]
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
