"""A system without Unix sockets and without numbers of users, as Windows is: Python imports this before a program."""

import _socket
import os

for missing in ("AF_UNIX", "socketpair", "CMSG_LEN"):
    delattr(_socket, missing)
del os.getuid
