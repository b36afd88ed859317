# What a supervisor may do with the token of its own job: book instances, and see how they fare.
namespace "default" {
  capabilities = ["list-jobs", "read-job", "submit-job", "scale-job"]
}

node {
  policy = "read"
}

agent {
  policy = "read"
}
