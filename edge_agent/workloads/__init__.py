"""The processes that do the work: each serves one workload and speaks to the supervisor in lines."""
