"""Networks of other papers, with which `cim` is compared. Each file contains one or two networks, or parts that networks share."""
