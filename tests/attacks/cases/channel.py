"""The channel to the trusted side: forged, flooded, torn."""

from tests.attacks.attack import attack


@attack("protocol", "crashed")
def a_frame_of_four_gigabytes():
    import os
    import struct
    import time

    os.write(3, struct.pack(">IB", 0xFFFFFFF0, 17) + b"x" * 100)
    time.sleep(30)


@attack("protocol", "crashed")
def an_unknown_frame():
    import os
    import struct
    import time

    os.write(3, struct.pack(">IB", 2, 99) + b"{}")
    time.sleep(30)


@attack("protocol", "crashed")
def a_pickle_instead_of_json():
    import os
    import pickle
    import struct
    import time

    class Bomb:
        def __reduce__(self):
            return (os.system, ("touch /tmp/owned",))

    text = pickle.dumps(Bomb())
    os.write(3, struct.pack(">IB", len(text), 17) + text)
    time.sleep(30)


@attack("protocol", "crashed", "component")
def a_result_and_then_more():
    import os
    import struct
    import time

    text = b'{"took_s": 0}'
    os.write(3, struct.pack(">IB", len(text), 22) + text + struct.pack(">IB", len(text), 22) + text)
    time.sleep(30)


@attack("protocol", "crashed")
def an_event_of_another_node():
    import json
    import os
    import struct
    import time

    text = json.dumps({"kind": "node_finished", "node": "SomebodyElse-1", "outputs": {}}).encode()
    os.write(3, struct.pack(">IB", len(text), 17) + text)
    time.sleep(30)


@attack("protocol", "crashed")
def json_a_mile_deep():
    import os
    import struct
    import time

    text = b"[" * 1_000_000
    os.write(3, struct.pack(">IB", len(text), 17) + text)
    time.sleep(30)


@attack("protocol", "crashed")
def a_flood_of_events():
    import json
    import os
    import struct

    text = json.dumps({"kind": "log", "node": "", "text": "x", "stream": "log", "name": ""}).encode()
    frame = (struct.pack(">IB", len(text), 17) + text) * 1000
    while True:
        sent = 0
        while sent < len(frame):
            sent += os.write(3, frame[sent:])


@attack("protocol", "crashed", "timeout")
def a_flood_of_output():
    while True:
        print("x" * 100_000)


@attack("timeout", "protocol", "crashed")
def half_a_frame_and_silence():
    import os
    import struct
    import time

    os.write(3, struct.pack(">IB", 1000, 17) + b"{")
    time.sleep(3600)


@attack("protocol", "crashed")
def closing_the_channel():
    import os
    import time

    os.close(3)
    time.sleep(3600)


@attack("protocol", "crashed", "timeout")
def descriptors_sent_over_the_channel():
    import array
    import socket
    import time

    channel = socket.socket(fileno=3)
    for _ in range(1000):
        pair = socket.socketpair()
        channel.sendmsg(
            [b"\0"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [each.fileno() for each in pair]))]
        )
    time.sleep(3600)


@attack()
def patching_our_own_code_harms_only_itself():
    import flowray_sandbox

    names = [name for name in vars(flowray_sandbox)]
    flowray_sandbox.patched = True
    return f"held: {len(names)} names, all of this process"


@attack()
def nothing_stays_in_the_zygote():
    import builtins
    import sys

    if getattr(builtins, "left_by_an_attack", False) or "left_by_an_attack" in sys.modules:
        return "ESCAPED: a trace of an earlier run"
    builtins.left_by_an_attack = True
    sys.modules["left_by_an_attack"] = sys
    return "held"
