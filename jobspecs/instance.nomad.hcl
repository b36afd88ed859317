# For reading: the job that a supervisor registers for a pool of instances (scheduler/nomad/job_documents.py).
#
# This is the pool of phase 0 of job 5f0c91aa-… on node n1, where its input lies, in the tier of 1024 MB and 8 GB, with
# four instances. An allocation is an instance: its launcher stays connected to the node's agent, and the agent makes
# the instance itself. So the resources reserved here are those of the tier, and the launcher needs little of them.

job "remora.5f0c91aa.0.676b8bb8.m1024d8" {
  namespace   = "default"
  datacenters = ["*"]
  node_pool   = "default"
  type        = "batch"
  priority    = 50

  # Instances that may be on any node have a spread over all nodes instead.
  constraint {
    attribute = "${node.unique.name}"
    value     = "n1"
  }

  # The data by which a supervisor that takes over recognizes the Nomad job.
  meta {
    remora_cluster   = "0123abcd"
    remora_job       = "5f0c91aa-7c1e-4d0e-8b7a-2f1f6a3e9d10"
    remora_phase     = "0"
    remora_pool      = "7"
    remora_memory_mb = "1024"
    remora_disk_gb   = "8"
    remora_node      = "n1"
  }

  group "instance" {
    count = 4

    # The supervisor notices that an instance has failed, and asks for another.
    restart {
      attempts = 0
      interval = "60s"
      delay    = "1s"
      mode     = "fail"
    }
    reschedule {
      attempts  = 0
      interval  = "0s"
      unlimited = false
    }

    # By then its tasks run on other nodes.
    disconnect {
      stop_on_client_after = "60s"
      replace              = true
    }

    ephemeral_disk {
      size    = 8192
      sticky  = false
      migrate = false
    }

    task "launcher" {
      driver       = "raw_exec"
      leader       = true
      kill_signal  = "SIGTERM"
      kill_timeout = "15s"

      config {
        command = "/opt/remora/libexec/launcher"
        args    = ["/var/lib/remora/launch.sock"]
      }

      env {
        REMORA_ALLOC     = "${NOMAD_ALLOC_ID}"
        REMORA_POOL      = "7"
        REMORA_INSTANCES = "5f0c91aa-7c1e-4d0e-8b7a-2f1f6a3e9d10/0"
        REMORA_MEMORY_MB = "1024"
        REMORA_DISK_GB   = "8"
      }

      logs {
        disabled = true
      }

      # The memory of the tier, and of the lackey and its shim.
      resources {
        cpu    = 100
        memory = 1056
      }
    }
  }
}
