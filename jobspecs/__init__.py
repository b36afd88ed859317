"""Job files for Nomad, as package data: the service's parts on a cluster.

Empty as long as one machine is all there is: the service starts by `remora up` and its
instances come from the process provider.
"""
