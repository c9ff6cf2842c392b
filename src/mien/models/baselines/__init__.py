"""Networks of other papers, with which `cim` is compared. A file contains one or two networks, or shared parts."""
