"""Networks of other papers, with which `cim` is compared; one file each."""
