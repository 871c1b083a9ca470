#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
# netplay: the network tests' other party. Knows no persona.
#
#   serve ADDR PORT        TCP and UDP echo; prints "ready"
#   names ADDR             DNS on port 53: every name is ADDR
#   ask ADDR PORT          a TCP round trip; prints "echo" or why not
#   ask-udp ADDR PORT      the same by UDP
#   load ADDR PORT MB      as much both ways at once, compared; prints MB/s
#   hold ADDR PORT         connect, say "held", then what ended it: "reset", "end"
import hashlib, os, socket, struct, sys, threading, time

def family(addr):
    return socket.AF_INET6 if ':' in addr else socket.AF_INET

def echo(conn):
    try:
        while data := conn.recv(65536):
            conn.sendall(data)
    except OSError:
        pass
    conn.close()

def serve(addr, port):
    tcp = socket.create_server((addr, port), family=family(addr))
    udp = socket.socket(family(addr), socket.SOCK_DGRAM)
    udp.bind((addr, port))
    def datagrams():
        while True:
            data, who = udp.recvfrom(65536)
            udp.sendto(data, who)
    threading.Thread(target=datagrams, daemon=True).start()
    print('ready', flush=True)
    while True:
        conn, _ = tcp.accept()
        threading.Thread(target=echo, args=(conn,), daemon=True).start()

def names(addr):
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind((addr, 53))
    print('ready', flush=True)
    while True:
        q, who = udp.recvfrom(512)
        end = q.index(b'\0', 12) + 5
        is_a = q[end - 4:end - 2] == b'\0\1'
        answer = struct.pack('>HHHIH', 0xc00c, 1, 1, 60, 4) + socket.inet_aton(addr)
        udp.sendto(q[:2] + b'\x81\x80\0\1' + (b'\0\1' if is_a else b'\0\0') +
                   b'\0\0\0\0' + q[12:end] + (answer if is_a else b''), who)

def ask(addr, port):
    try:
        conn = socket.create_connection((addr, port), timeout=3)
        conn.sendall(b'persona')
        print('echo' if conn.recv(64) == b'persona' else 'something else')
    except OSError as e:
        print('no:', e)

def ask_udp(addr, port):
    udp = socket.socket(family(addr), socket.SOCK_DGRAM)
    udp.settimeout(3)
    try:
        udp.connect((addr, port))
        udp.send(b'persona')
        print('echo' if udp.recv(64) == b'persona' else 'something else')
    except OSError as e:
        print('no:', e)

def load(addr, port, mb):
    conn = socket.create_connection((addr, port), timeout=60)
    block = os.urandom(1 << 20)
    def send():
        for _ in range(mb):
            conn.sendall(block)
        conn.shutdown(socket.SHUT_WR)
    begun = time.monotonic()
    threading.Thread(target=send, daemon=True).start()
    want, got, n = hashlib.sha256(), hashlib.sha256(), 0
    for _ in range(mb):
        want.update(block)
    while data := conn.recv(1 << 16):
        got.update(data)
        n += len(data)
    seconds = time.monotonic() - begun
    same = n == mb << 20 and got.digest() == want.digest()
    print('same' if same else f'differs after {n} bytes',
          f'{mb / seconds:.1f} MB/s each way')

def hold(addr, port):
    conn = socket.create_connection((addr, port), timeout=10)
    conn.sendall(b'persona')
    conn.recv(64)
    print('held', flush=True)
    conn.settimeout(None)
    try:
        print('data' if conn.recv(64) else 'end', flush=True)
    except ConnectionResetError:
        print('reset', flush=True)

what, args = sys.argv[1], sys.argv[2:]
{'serve': serve, 'names': names, 'ask': ask, 'ask-udp': ask_udp, 'load': load,
 'hold': hold}[what](*[int(a) if a.isdigit() else a for a in args])
