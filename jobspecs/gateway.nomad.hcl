# Gateways, which serve HTTP. They have no state: any number can run behind a load balancer, and stop at any time.

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
variable "gateways" {
  type    = number
  default = 2
}
variable "gateway_port" {
  type    = number
  default = 8080
}

job "remora-gateway" {
  namespace   = var.namespace
  datacenters = var.datacenters
  node_pool   = var.node_pool
  type        = "service"
  priority    = 80

  group "gateway" {
    count = var.gateways

    # The port is the same everywhere, so a node can have only one of them.
    constraint {
      operator = "distinct_hosts"
      value    = "true"
    }

    network {
      mode = "host"
      port "http" {
        static = var.gateway_port
      }
    }

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
      name     = "remora-gateway"
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

    task "gateway" {
      driver       = "raw_exec"
      kill_timeout = "20s"

      config {
        command = "${var.bin}/remora"
        args    = ["gateway"]
      }

      env {
        REMORA_LISTEN   = "${NOMAD_ADDR_http}"
        REMORA_OBJECTS  = var.objects
        REMORA_TLS_CERT = var.tls == "" ? "" : "${var.tls}/cert.pem"
        REMORA_TLS_KEY  = var.tls == "" ? "" : "${var.tls}/key.pem"
        REMORA_TLS_CA   = var.tls == "" ? "" : "${var.tls}/ca.pem"
        REMORA_PLAIN    = var.tls == "" ? "1" : ""
        PGSSLROOTCERT   = var.database_ca
      }

      # Read when the task starts; after a change `remora cluster deploy` exchanges one task after the other.
      template {
        destination = "${NOMAD_SECRETS_DIR}/remora.env"
        env         = true
        change_mode = "noop"
        data        = <<-EOT
          {{ with nomadVar "nomad/jobs/remora-gateway" }}
          REMORA_DATABASE={{ .database.Value | toJSON }}
          REMORA_TOKEN_SECRET={{ .token_secret.Value | toJSON }}
          REMORA_AGENT_KEY={{ .agent_key.Value | toJSON }}
          {{ end }}
        EOT
      }

      resources {
        cpu    = 500
        memory = 512
      }
    }
  }
}
