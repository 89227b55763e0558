"""The network: there is none, but for the gate."""

from tests.attacks.attack import attack


@attack()
def no_route_out():
    import socket

    targets = [("1.1.1.1", 443), ("8.8.8.8", 53), ("169.254.169.254", 80), ("10.0.0.1", 443), ("192.168.0.1", 22)]
    return all_refused([lambda t=t: socket.create_connection(t, timeout=2) for t in targets])


@attack()
def no_route_out_by_ipv6():
    import socket

    def connect():
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as out:
            out.settimeout(2)
            out.connect(("2606:4700:4700::1111", 443))

    return refused(connect)


@attack()
def no_datagrams():
    import socket

    def send():
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
            out.sendto(b"secret", ("8.8.8.8", 53))

    return refused(send)


@attack()
def no_names():
    import socket

    return all_refused(
        [lambda: socket.getaddrinfo("example.com", 443), lambda: socket.gethostbyname("metadata.google.internal")]
    )


@attack()
def services_of_this_machine_are_not_there():
    import socket

    ports = [22, 80, 443, 6379, 6380, 8000, 8076, 8265, 8404, 9101, 10001, 44217, 52365]
    return all_refused([lambda p=p: socket.create_connection(("127.0.0.1", p), timeout=1) for p in ports])


@attack()
def nothing_of_ray_is_there():
    import glob
    import os

    found = glob.glob("/tmp/ray/*") + glob.glob("/dev/shm/plasma*") + [k for k in os.environ if k.startswith("RAY")]
    return f"ESCAPED: {found[:5]}" if found else "held"


@attack(needs="seccomp")
def no_other_socket_families():
    import socket

    families = [1, 16, 17, 38, 40, 31, 29, 44]
    return all_refused(
        [lambda f=f: socket.socket(f, socket.SOCK_STREAM if f in (1, 40) else socket.SOCK_RAW) for f in families]
    )


@attack()
def no_raw_sockets():
    import socket

    return all_refused(
        [
            lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP),
            lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW),
        ]
    )


@attack(needs="landlock")
def no_listening():
    import socket

    def listen():
        with socket.socket() as server:
            server.bind(("127.0.0.1", 9999))
            server.listen()

    return refused(listen)


@attack()
def the_gate_refuses_without_egress():
    import socket

    def ask():
        with socket.create_connection(("127.0.0.1", 3128), timeout=3) as gate:
            gate.settimeout(3)
            gate.sendall(b"CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n")
            return gate.recv(200)

    try:
        got = ask()
    except OSError as error:
        return f"held: {error}"
    return f"ESCAPED: {got!r}" if b" 200" in got else f"held: {got[:60]!r}"


@attack()
def the_gate_refuses_other_hosts():
    import socket

    for target in (
        "example.org:443",
        "allowed.test.evil.com:443",
        "evil-allowed.test:443",
        "127.0.0.1:6379",
        "2130706433:80",
        "0x7f000001:80",
        "[::1]:80",
        "169.254.169.254:80",
        "user@allowed.test:443",
        "allowed.test:22",
        "allowed.test:443@evil.com:443",
        "localhost:8000",
    ):
        try:
            with socket.create_connection(("127.0.0.1", 3128), timeout=5) as gate:
                gate.settimeout(5)
                gate.sendall(f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n".encode())
                got = gate.recv(200)
        except OSError:
            continue
        if b" 200" in got.split(b"\r\n")[0]:
            return f"ESCAPED: {target}: {got[:80]!r}"
    return "held: all refused"


@attack()
def the_gate_does_not_choke_on_rubbish():
    import socket

    for rubbish in (
        b"\x00" * 10_000,
        b"GET / HTTP/1.1\r\n\r\n",
        b"CONNECT " + b"a" * 100_000,
        b"CONNECT a:443 HTTP/1.1\r\n" + b"X: y\r\n" * 20_000,
        b"\r\n\r\n",
    ):
        try:
            with socket.create_connection(("127.0.0.1", 3128), timeout=5) as gate:
                gate.settimeout(1)
                gate.sendall(rubbish)
                got = gate.recv(200)
        except OSError:
            continue
        if b" 200" in got.split(b"\r\n")[0]:
            return f"ESCAPED: {got[:80]!r}"
    return "held"


@attack()
def request_smuggling_is_refused():
    import socket

    try:
        with socket.create_connection(("127.0.0.1", 3128), timeout=5) as gate:
            gate.settimeout(5)
            gate.sendall(b"GET http://127.0.0.1:6379/ HTTP/1.1\r\nHost: allowed.test\r\n\r\n")
            got = gate.recv(200)
    except OSError as error:
        return f"held: {error}"
    return f"ESCAPED: {got!r}" if b" 200" in got.split(b"\r\n")[0] else f"held: {got[:60]!r}"
