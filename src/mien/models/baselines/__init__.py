"""Networks of other papers that `cim` is compared with, one file each."""
