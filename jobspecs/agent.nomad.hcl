# Agents, one on each node: an agent makes an instance for each allocation, and serves intermediates to other agents.

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
variable "state_dir" {
  type        = string
  default     = "/var/lib/remora"
  description = "A directory of each node's own, for intermediates and instances."
}
variable "credential" {
  type        = string
  default     = ""
  description = "A file of each node's own with its credential; \"\": it is made of the key in Nomad's variable."
}
variable "agent_port" {
  type    = number
  default = 8095
}
variable "provider" {
  type    = string
  default = "containerd"
}

job "remora-agent" {
  namespace   = var.namespace
  datacenters = var.datacenters
  node_pool   = var.node_pool
  type        = "system"
  priority    = 90

  # One node at a time.
  update {
    max_parallel = 1
  }

  group "agent" {
    network {
      mode = "host"
      port "http" {
        static = var.agent_port
      }
    }

    # Restart always: without its agent a node does nothing.
    restart {
      attempts = 10
      interval = "1m"
      delay    = "1s"
      mode     = "delay"
    }

    task "agent" {
      driver       = "raw_exec"
      user         = "root"
      kill_timeout = "20s"

      config {
        command = "${var.bin}/remora"
        args    = ["agent", "--nomad"]
      }

      env {
        REMORA_NODE      = "${node.unique.name}"
        REMORA_LISTEN    = "${NOMAD_ADDR_http}"
        REMORA_OBJECTS   = var.objects
        REMORA_STATE_DIR = var.state_dir
        REMORA_PROVIDER  = var.provider
        REMORA_URL       = "@${NOMAD_TASK_DIR}/gateways"
        REMORA_TLS_CERT  = var.tls == "" ? "" : "${var.tls}/cert.pem"
        REMORA_TLS_KEY   = var.tls == "" ? "" : "${var.tls}/key.pem"
        REMORA_TLS_CA    = var.tls == "" ? "" : "${var.tls}/ca.pem"
        REMORA_PLAIN     = var.tls == "" ? "1" : ""

        REMORA_CREDENTIAL_FILE = var.credential
      }

      # The node's own credential, made from the key, unless nodes have theirs in files. The agent never has the key.
      template {
        destination = "${NOMAD_SECRETS_DIR}/remora.env"
        env         = true
        change_mode = "noop"
        data        = <<-EOT
          {{ with nomadVar "nomad/jobs/remora-agent" }}{{ if .agent_key.Value }}{{ $node := env "node.unique.name" }}
          REMORA_AGENT_CREDENTIAL={{ printf "%s.%s" $node (hmacSHA256Hex $node .agent_key.Value) | toJSON }}
          {{ end }}{{ end }}
        EOT
      }

      # Read again for each use: gateways start and stop, and tasks must not end because of that.
      template {
        destination = "${NOMAD_TASK_DIR}/gateways"
        change_mode = "noop"
        data        = <<-EOT
          {{ range nomadService "remora-gateway" }}${var.tls == "" ? "http" : "https"}://{{ .Address }}:{{ .Port }}
          {{ end }}
        EOT
      }

      # No memory limit: its instances are in control groups below its own, and have limits of their own.
      # Nomad must allow that: nomad operator scheduler set-config -memory-oversubscription=true
      resources {
        cpu        = 200
        memory     = 512
        memory_max = -1
      }
    }
  }
}
