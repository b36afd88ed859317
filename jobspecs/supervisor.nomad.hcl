# Supervisors, which own jobs. At least two: when one dies, another takes over its jobs within seconds.

variable "namespace" {
  type    = string
  default = "default"
}
variable "datacenters" {
  type    = list(string)
  default = ["*"]
}
variable "node_pool" {
  type    = string
  default = "default"
}
variable "bin" {
  type        = string
  default     = "/opt/remora/venv/bin"
  description = "Where the programs are on every node."
}
variable "objects" {
  type        = string
  default     = "/srv/remora/objects"
  description = "The directory of objects, that all nodes have mounted."
}
variable "tls" {
  type        = string
  default     = "/etc/remora/tls"
  description = "A directory of each node's own with its cert.pem, key.pem and ca.pem; \"\": plain HTTP between nodes."
}
variable "database_ca" {
  type        = string
  default     = ""
  description = "The authority of PostgreSQL's certificate; \"\": the system's."
}
variable "supervisors" {
  type    = number
  default = 2

  validation {
    condition     = var.supervisors >= 2
    error_message = "Of fewer than two supervisors none is left when one dies."
  }
}
variable "supervisor_port" {
  type    = number
  default = 8090
}
variable "state_dir" {
  type        = string
  default     = "/var/lib/remora"
  description = "The agents' own directory on every node: their launchers call at a socket in it."
}

job "remora-supervisor" {
  namespace   = var.namespace
  datacenters = var.datacenters
  node_pool   = var.node_pool
  type        = "service"
  priority    = 80

  group "supervisor" {
    count = var.supervisors

    # On different nodes, so that the loss of a node ends only one of them.
    constraint {
      operator = "distinct_hosts"
      value    = "true"
    }

    network {
      mode = "host"
      port "http" {
        static = var.supervisor_port
      }
    }

    # One at a time: the others take over its jobs meanwhile.
    update {
      max_parallel      = 1
      min_healthy_time  = "3s"
      healthy_deadline  = "2m"
      progress_deadline = "5m"
      auto_revert       = true
    }

    restart {
      attempts = 10
      interval = "1m"
      delay    = "5s"
      mode     = "delay"
    }

    shutdown_delay = "2s"

    service {
      name     = "remora-supervisor"
      provider = "nomad"
      port     = "http"

      check {
        type     = "http"
        path     = "/healthz"
        interval = "5s"
        timeout  = "2s"

        # Nomad's check is on the same node, and does not know the cluster's authority.
        protocol        = var.tls == "" ? "http" : "https"
        tls_skip_verify = true
      }
    }

    task "supervisor" {
      driver       = "raw_exec"
      kill_timeout = "20s"

      config {
        command = "${var.bin}/remora"
        args    = ["supervisor", "--nomad"]
      }

      # It reserves instances with its own NOMAD_TOKEN, whose permissions are in policies/supervisor.hcl, and by the socket
      # that Nomad gives to each task: so it needs neither an address nor certificates of Nomad's.
      identity {
        env = true
      }

      env {
        NOMAD_ADDR      = "unix://${NOMAD_SECRETS_DIR}/api.sock"
        REMORA_LISTEN   = "${NOMAD_ADDR_http}"
        REMORA_OBJECTS  = var.objects
        REMORA_TLS_CERT = var.tls == "" ? "" : "${var.tls}/cert.pem"
        REMORA_TLS_KEY  = var.tls == "" ? "" : "${var.tls}/key.pem"
        REMORA_TLS_CA   = var.tls == "" ? "" : "${var.tls}/ca.pem"
        REMORA_PLAIN    = var.tls == "" ? "1" : ""
        PGSSLROOTCERT   = var.database_ca

        # Settings of reservations: the node pool and datacenters of the agents, and the paths on their nodes.
        REMORA_NOMAD_SOCKET      = "${var.state_dir}/launch.sock"
        REMORA_NOMAD_NODE_POOL   = var.node_pool
        REMORA_NOMAD_DATACENTERS = join(",", var.datacenters)
      }

      # Read when the task starts; after a change `remora cluster deploy` exchanges one task after the other.
      template {
        destination = "${NOMAD_SECRETS_DIR}/remora.env"
        env         = true
        change_mode = "noop"
        data        = <<-EOT
          {{ with nomadVar "nomad/jobs/remora-supervisor" }}
          REMORA_DATABASE={{ .database.Value | toJSON }}
          REMORA_TOKEN_SECRET={{ .token_secret.Value | toJSON }}
          REMORA_AGENT_KEY={{ .agent_key.Value | toJSON }}
          {{ end }}
        EOT
      }

      resources {
        cpu    = 1000
        memory = 1024
      }
    }
  }
}
