"""The checkpassword helper that one would write with Python's standard library: the measure for the C helper.

Dovecot runs it as `python3 -S -E stdlib_helper.py SOCKET checkpassword-reply`. It does the same job in the same way:
reads name and password from descriptor 3, asks mailauth's socket, writes the fields to descriptor 4, and exits 0,
1 or 111. Must never be shipped: an exception that nobody catches exits 1, which reads as a wrong password.
"""

import base64
import os
import socket
import sys


def main() -> int:
    name, password, *_ = os.read(3, 512).split(b"\0")
    response = base64.b64encode(b"\0" + name + b"\0" + password).decode()
    service, client = os.environ.get("AUTH_SERVICE", ""), os.environ.get("TCPREMOTEIP", "")
    request = f"AUTH\t1\tPLAIN\tservice={service}\trip={client}\tmailauth=1\tresp={response}\n"
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(10)
            connection.connect(sys.argv[1])
            connection.sendall(f"VERSION\t1\t1\nCPID\t{os.getpid()}\n{request}".encode())
            with connection.makefile("r", encoding="utf-8") as replies:
                for line in replies:
                    verdict, *fields = line.rstrip("\n").split("\t")
                    if verdict in ("OK", "FAIL"):
                        break
                else:
                    return 111
    except OSError:
        return 111
    if verdict == "FAIL":
        return 111 if "code=temp_fail" in fields else 1
    os.write(4, "\t".join(field for field in fields if field.startswith("user=")).encode() + b"\t")
    return 0


if __name__ == "__main__":
    sys.exit(main())
