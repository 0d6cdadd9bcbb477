"""Work that several processes do together, one for each GPU: launched by torchrun, heard as one."""
