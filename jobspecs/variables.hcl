# The settings of a deployment, with their defaults. Copy the lines that you change into a file of your own:
#
#     remora cluster deploy --var-file site.hcl
#
# The namespace of the jobs in Nomad, and the nodes on which it runs them.
namespace   = "default"
datacenters = ["*"]
node_pool   = "default"

# The installed programs: the same path on every node.
bin = "/opt/remora/venv/bin"

# A directory that every node has mounted at this path: the objects.
objects = "/srv/remora/objects"

# A directory of each node's own with its certificate: cert.pem, key.pem, and ca.pem, the authority of the others.
# "" is plain HTTP between nodes and to users, for a network of your own.
tls = "/etc/remora/tls"

# A file of each node's own with its credential, as `remora cluster credential NODE` prints it: read for each request,
# so that one node's can be replaced while it runs. "": agents get credentials that are made of the key in Nomad's
# variable, and do not change.
credential = ""

# The certificate of PostgreSQL's authority, at this path on every node; "": one of those that the system knows.
database_ca = ""

# A directory of each node's own, for intermediates and instances: fast and local.
state_dir = "/var/lib/remora"

# How many gateways and supervisors, and the ports on which they and the agents listen.
gateways        = 2
supervisors     = 2
gateway_port    = 8080
supervisor_port = 8090
agent_port      = 8095

# Where instances come from on a node: "containerd", "process", or "auto".
provider = "containerd"
