"""Ray on this machine: started for one home, on loopback, behind a token, beside other FlowRays if need be."""
