#!/usr/bin/env python3
"""Policy zones of Bavn in BIND and Unbound, access lists in Squid. See run.sh."""
import argparse
import os
import pathlib
import random
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "e2e"))
from support.community import until  # noqa: E402

BAVN = os.environ["BAVN_BINARY"]
A, AAAA = 1, 28
NXDOMAIN, NOERROR = 3, 0

# name -> (type, address): what an authoritative server on this machine answers.
WORLD = {
    "evil.example": (A, "192.0.2.1"), "www.evil.example": (A, "192.0.2.1"), "a.b.evil.example": (A, "192.0.2.1"),
    "notevil.example": (A, "192.0.2.2"), "good.example": (A, "192.0.2.2"),
    "xn--mller-kva.example": (A, "192.0.2.1"), "deep.under.example": (A, "192.0.2.1"), "under.example": (A, "192.0.2.2"),
    "address.example": (A, "192.0.2.66"), "near.example": (A, "192.0.2.67"),
    "network.example": (A, "198.51.100.70"), "outside.example": (A, "198.51.100.80"),
    "six.example": (AAAA, "2001:db8:66::1"), "sixnet.example": (AAAA, "2001:db8:77:5::9"), "sixout.example": (AAAA, "2001:db8:78::1"),
    "shop.example": (A, "192.0.2.2"), "other-feed.example": (A, "192.0.2.1"),
    "microsoft.com": (A, "192.0.2.3"), "login.microsoft.com": (A, "192.0.2.3"), "borger.dk": (A, "192.0.2.4"),
    "bio.link": (A, "192.0.2.5"), "gentofte.dk": (A, "192.0.2.6"), "www.gentofte.dk": (A, "192.0.2.6"),
}
BLOCKED = ["evil.example", "www.evil.example", "a.b.evil.example", "xn--mller-kva.example", "deep.under.example", "address.example",
           "network.example", "six.example", "sixnet.example"]
# A feed of somebody else names these, too: our passthru zone stands before it.
OTHER_FEED = ["microsoft.com", "login.microsoft.com", "borger.dk", "bio.link", "gentofte.dk", "other-feed.example"]
failures = []


def check(name, good, said=""):
    print(f"{'ok  ' if good else 'FAIL'} {name}{': ' + said if said and not good else ''}", flush=True)
    if not good:
        failures.append(name)


def free_port():
    with socket.socket() as s, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as u:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
        u.bind(("127.0.0.1", port))
        return port


def name_bytes(name):
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"


def ask(port, name, kind=A, seconds=5.0):
    """(rcode, addresses) or None without an answer."""
    question = random.randrange(65536)
    packet = struct.pack(">HHHHHH", question, 0x0100, 1, 0, 0, 0) + name_bytes(name) + struct.pack(">HH", kind, 1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(seconds)
        try:
            s.sendto(packet, ("127.0.0.1", port))
            got = s.recv(4096)
        except OSError:
            return None
    if struct.unpack(">H", got[:2])[0] != question:
        return None
    flags, _, answers = struct.unpack(">HHH", got[2:8])
    at = 12 + len(name_bytes(name)) + 4
    found = []
    for _ in range(answers):
        while got[at]:
            if got[at] >= 0xC0:
                at += 1
                break
            at += got[at] + 1
        at += 1
        rtype, _, _, size = struct.unpack(">HHIH", got[at:at + 10])
        data = got[at + 10:at + 10 + size]
        if rtype == A:
            found.append(socket.inet_ntoa(data))
        elif rtype == AAAA:
            found.append(socket.inet_ntop(socket.AF_INET6, data))
        at += 10 + size
    return flags & 15, found


def write(work, name, out=None, source=HERE / "list.csv"):
    done = subprocess.run([BAVN, "blocks", "write", name, source, "--member", "gentofte.dk", "--out", out or work / name],
                          capture_output=True, text=True)
    return done


class Server:
    """A process that answers on a port; ended when the block is left."""

    def __init__(self, name, words, port, log, probe="good.example"):
        self.name, self.words, self.port, self.log, self.probe = name, words, port, log, probe

    def __enter__(self):
        self.out = open(self.log, "w")
        self.process = subprocess.Popen(self.words, stdout=self.out, stderr=subprocess.STDOUT)
        for _ in range(150):
            if self.process.poll() is not None:
                break
            if ask(self.port, self.probe, seconds=0.3):
                return self
        self.__exit__()
        raise SystemExit(f"{self.name} does not answer:\n{pathlib.Path(self.log).read_text()[-3000:]}")

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
        self.out.close()


def zone(names):
    lines = ["$TTL 60", "@ SOA localhost. root.localhost. 1 60 60 3600 60", "@ NS localhost."]
    return "\n".join(lines + names) + "\n"


def named_common(folder, port):
    return (f'  directory "{folder}"; pid-file "{folder}/pid"; session-keyfile "{folder}/session.key"; managed-keys-directory "{folder}";\n'
            f"  listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }}; allow-query {{ 127.0.0.1; }}; notify no; dnssec-validation no;\n")


def authority(work):
    folder = work / "authority"
    folder.mkdir()
    port = free_port()
    (folder / "root.zone").write_text(zone(["localhost. A 127.0.0.1"] + [f"{name}. {'A' if kind == A else 'AAAA'} {address}" for name, (kind, address) in WORLD.items()]))
    (folder / "named.conf").write_text(f"options {{\n{named_common(folder, port)}  recursion no; empty-zones-enable no;\n}};\ncontrols {{ }};\n"
                                       f'zone "." {{ type primary; file "root.zone"; }};\n')
    return Server("the authoritative server", ["named", "-g", "-n", "1", "-c", folder / "named.conf"], port, folder / "log")


def bind(work, upstream, zones, name="bind"):
    folder = work / name
    folder.mkdir()
    port = free_port()
    policy = " ".join(f'zone "{z}";' for z, _ in zones)
    text = (f"options {{\n{named_common(folder, port)}  recursion yes; forward only; forwarders {{ 127.0.0.1 port {upstream}; }};\n"
            f"  empty-zones-enable no;\n"
            f"  response-policy {{ {policy} }} qname-wait-recurse no;\n}};\ncontrols {{ }};\n")
    for z, file in zones:
        text += f'zone "{z}" {{ type primary; file "{file}"; allow-query {{ none; }}; }};\n'
    (folder / "named.conf").write_text(text)
    return Server("BIND", ["named", "-g", "-n", "1", "-c", folder / "named.conf"], port, folder / "log")


def unbound(work, upstream, zones, name="unbound"):
    folder = work / name
    folder.mkdir()
    port = free_port()
    text = (f'server:\n  directory: "{folder}"\n  chroot: ""\n  username: ""\n  pidfile: "{folder}/pid"\n  use-syslog: no\n  interface: 127.0.0.1\n'
            f'  port: {port}\n  module-config: "respip iterator"\n  do-not-query-localhost: no\n  do-daemonize: no\n  num-threads: 1\n'
            f'  local-zone: "example." transparent\n'
            f'remote-control:\n  control-enable: no\nforward-zone:\n  name: "."\n  forward-addr: 127.0.0.1@{upstream}\n')
    for z, file in zones:
        text += f'rpz:\n  name: "{z}"\n  zonefile: "{file}"\n'
    (folder / "unbound.conf").write_text(text)
    parsed = subprocess.run(["unbound-checkconf", folder / "unbound.conf"], capture_output=True, text=True)
    check("Unbound reads its configuration", parsed.returncode == 0, parsed.stderr)
    return Server("Unbound", ["unbound", "-d", "-c", folder / "unbound.conf"], port, folder / "log")


def answers(server):
    for _ in range(150):  # the zone is taken in after the first answer
        if ask(server.port, BLOCKED[0]) == (NXDOMAIN, []):
            break
        time.sleep(0.1)
    for name, (kind, address) in WORLD.items():
        got = ask(server.port, name, kind)
        if name in BLOCKED or name == "other-feed.example":
            check(f"{server.name}: {name} is blocked", got == (NXDOMAIN, []), str(got))
        else:
            check(f"{server.name}: {name} is answered", got == (NOERROR, [address]), str(got))


def policy_zones(work):
    done = write(work, "rpz.zone")
    check("the list is written, with what is refused said", done.returncode == 3 and "7 entries, 12 refused" in done.stderr, done.stderr)
    for name in ("microsoft.com", "borger.dk", "bio.link", "gentofte.dk"):
        check(f"{name} is refused with a reason", f"{name}" in done.stderr and "never blocked" in done.stderr or "strangers" in done.stderr, done.stderr)
        check(f"{name} does not stand in the zone", name not in (work / "rpz.zone").read_text())
    write(work, "rpz_passthru.zone")
    (work / "other.zone").write_text(zone([f"{name} CNAME ." for name in OTHER_FEED]))
    for file, origin in (("rpz.zone", "rpz.bavn"), ("rpz_passthru.zone", "passthru.bavn")):
        parsed = subprocess.run(["named-checkzone", "-k", "fail", origin, work / file], capture_output=True, text=True)
        check(f"named-checkzone reads {file}", parsed.returncode == 0, parsed.stdout + parsed.stderr)
    zones = [("passthru.bavn", work / "rpz_passthru.zone"), ("rpz.bavn", work / "rpz.zone"), ("other.feed", work / "other.zone")]
    with authority(work) as world:
        with bind(work, world.port, zones) as server:
            answers(server)
            log = [line for line in (work / "bind" / "log").read_text().splitlines() if "rpz" in line or ".bavn" in line]
            bad = [line for line in log if "invalid" in line or "error" in line or "warning" in line]
            check("BIND has nothing against any line", log and not bad, "\n".join(bad))
        with unbound(work, world.port, zones) as server:
            answers(server)
            log = (work / "unbound" / "log").read_text()
            check("Unbound has nothing against any line", "error" not in log and "warning" not in log, log[-2000:])
        transfers(work, world.port)
        big(work, world.port)


def big(work, upstream):
    """As many entries as a node keeps."""
    count = 50_000
    source = work / "big.csv"
    with open(source, "w") as f:
        f.writelines(f"domain,n{i}.bad{i % 97}.example\n" for i in range(count))
        f.write("domain,evil.example\n")
    done = write(work, "rpz.zone", work / "big.zone", source)
    check(f"{count} entries are written", f"{count + 1} entries" in done.stderr, done.stderr)
    for make in (bind, unbound):
        start = time.monotonic()
        with make(work, upstream, [("rpz.bavn", work / "big.zone")], f"big_{make.__name__}") as server:
            until(lambda s=server: ask(s.port, "evil.example") == (NXDOMAIN, []), 60, lambda s=server: f"{s.name} serves the list")
            print(f"     {server.name} serves {count} entries after {time.monotonic() - start:.1f} s")
            check(f"{server.name} blocks the last of them", ask(server.port, f"www.n{count - 1}.bad{(count - 1) % 97}.example") == (NXDOMAIN, []))
            check(f"{server.name} answers what is not in it", ask(server.port, "good.example") == (NOERROR, ["192.0.2.2"]))


def dig(port, words, key=None):
    done = subprocess.run(["dig", "@127.0.0.1", "-p", str(port), "+noall", "+answer", "+tcp", "+time=10", "+tries=1",
                           *(["-k", str(key)] if key else []), *words], capture_output=True, text=True)
    return [line.split(None, 4) for line in done.stdout.splitlines() if line and not line.startswith(";")], done.stdout


def transfers(work, upstream):
    """A hidden primary that loads our file, and a resolver that gets the zone from it: AXFR and IXFR with TSIG, NOTIFY."""
    if not shutil.which("dig"):
        print("SKIPPED: dig is not installed (bind9-dnsutils)")
        return
    folder, resolver = work / "primary", work / "secondary"
    folder.mkdir()
    resolver.mkdir()
    port, secondary = free_port(), free_port()
    source, zone_file = folder / "list.csv", folder / "rpz.zone"
    names = [f"n{i}.bad.example" for i in range(2000)] + ["evil.example"]

    def publish(serial):
        source.write_text("".join(f"domain,{name}\n" for name in names))
        done = subprocess.run([BAVN, "blocks", "write", "rpz.zone", source, "--serial", str(serial), "--out", zone_file], capture_output=True, text=True)
        check(f"list {serial} is written", done.returncode == 0, done.stderr)

    key = folder / "bavn.key"
    key.write_text(subprocess.run(["tsig-keygen", "bavn-rpz"], capture_output=True, text=True, check=True).stdout)
    (folder / "named.conf").write_text(
        f'include "{key}";\noptions {{\n{named_common(folder, port)}  recursion no; ixfr-from-differences yes;\n}};\ncontrols {{ }};\n'
        f'zone "rpz.bavn" {{ type primary; file "{zone_file}"; allow-query {{ key bavn-rpz; }}; allow-transfer {{ key bavn-rpz; }};\n'
        f"  notify explicit; also-notify {{ 127.0.0.1 port {secondary} key bavn-rpz; }}; }};\n")
    (resolver / "named.conf").write_text(
        f'include "{key}";\noptions {{\n{named_common(resolver, secondary)}  recursion yes; forward only; forwarders {{ 127.0.0.1 port {upstream}; }};\n'
        f'  empty-zones-enable no; response-policy {{ zone "rpz.bavn" min-update-interval 1; }} qname-wait-recurse no;\n}};\ncontrols {{ }};\n'
        f'zone "rpz.bavn" {{ type secondary; file "rpz.bavn.db"; primaries {{ 127.0.0.1 port {port} key bavn-rpz; }}; allow-query {{ none; }};\n'
        f"  allow-notify {{ key bavn-rpz; }}; }};\n")

    def blocked(server, name):
        for _ in range(150):
            if ask(server.port, name) == (NXDOMAIN, []):
                return True
            time.sleep(0.1)
        return False

    publish(10)
    with Server("the hidden primary", ["named", "-g", "-n", "1", "-c", folder / "named.conf"], port, folder / "log") as primary:
        refused, said = dig(port, ["rpz.bavn", "AXFR"])
        check("a transfer without the key is refused", not refused and "failed" in said.lower(), said)
        check("a question without the key is refused", ask(port, "evil.example.rpz.bavn") == (5, []))
        whole, said = dig(port, ["rpz.bavn", "AXFR"], key)
        check("AXFR with the key is the whole zone", len(whole) == 2 * len(names) + 3, f"{len(whole)} records, {said[-300:]}")
        with Server("the resolver", ["named", "-g", "-n", "1", "-c", resolver / "named.conf"], secondary, resolver / "log") as server:
            check("the resolver got the zone and blocks", blocked(server, "www.evil.example"))
            check("the resolver answers what is not in it", ask(server.port, "good.example") == (NOERROR, ["192.0.2.2"]))
            before = (whole[0][4].split()[2])
            names.remove("n7.bad.example")
            names.append("notevil.example")
            publish(11)
            os.utime(zone_file, (time.time() + 2, time.time() + 2))  # a change within the second of the load is a change
            primary.process.send_signal(signal.SIGHUP)
            check("the change comes by NOTIFY, without waiting for the refresh", blocked(server, "notevil.example"))
            check("what is gone is answered again", ask(server.port, "good.example") == (NOERROR, ["192.0.2.2"]))
            took = re.findall(r"Transfer completed: \d+ messages, (\d+) records", (resolver / "log").read_text())
            check("the resolver took the difference alone", len(took) == 2 and int(took[1]) <= 10, str(took))
        part, said = dig(port, ["rpz.bavn", f"IXFR={before}"], key)
        what = sorted({line[0] for line in part if line[3] == "CNAME"})
        check("IXFR is the difference alone", len(part) == 8 and [line[3] for line in part].count("SOA") == 4 and
              what == ["*.n7.bad.example.rpz.bavn.", "*.notevil.example.rpz.bavn.", "n7.bad.example.rpz.bavn.", "notevil.example.rpz.bavn."], said)


def squid(work):
    if not shutil.which("squid"):
        print("SKIPPED: Squid is not installed")
        return
    folder = work / "squid"
    folder.mkdir()
    for name in ("squid.domains", "squid.urls", "squid.addresses"):
        write(work, name, folder / name)
    conf = subprocess.run([BAVN, "blocks", "write", "squid.conf", HERE / "list.csv"], capture_output=True, text=True).stdout
    text = conf.replace("/etc/squid/bavn", str(folder)) + f"http_access allow all\nhttp_port 127.0.0.1:3128\npid_filename {folder}/pid\ncache_log {folder}/log\n"
    (folder / "squid.conf").write_text(text)
    parsed = subprocess.run(["squid", "-k", "parse", "-f", folder / "squid.conf"], capture_output=True, text=True)
    said = parsed.stdout + parsed.stderr
    check("Squid reads the access lists without a word against them",
          parsed.returncode == 0 and not any(w in said for w in ("WARNING", "ERROR", "FATAL")), said[-2000:])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--work", type=pathlib.Path, required=True)
    work = parser.parse_args().work
    for program in ("named", "named-checkzone", "unbound", "unbound-checkconf"):
        if not shutil.which(program):
            print(f"{program} is missing: tools/packages.txt names the packages")
            return 1
    policy_zones(work)
    squid(work)
    print(f"{len(failures)} failed")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
