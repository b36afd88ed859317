# The permissions of a supervisor with the token of its own job: reserve instances, and read their state.
namespace "default" {
  capabilities = ["list-jobs", "read-job", "submit-job", "scale-job"]
}

node {
  policy = "read"
}

agent {
  policy = "read"
}
