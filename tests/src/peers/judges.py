"""dkimpy and pyspf on the command line: PORT of a DNS server on loopback, then a command. A message comes by standard input."""
import sys

import dkim
import dns.resolver
import spf

resolver = dns.resolver.Resolver(configure=False)
resolver.nameservers, resolver.port = ["127.0.0.1"], int(sys.argv[1])
dns.resolver.default_resolver = resolver
command, words = sys.argv[2], sys.argv[3:]


def out(octets):
    sys.stdout.buffer.write(octets)


def message():
    return sys.stdin.buffer.read()


def key(path):
    with open(path, "rb") as file:
        return file.read()


if command == "dkim":
    checked = dkim.DKIM(message())
    count = sum(name.lower() == b"dkim-signature" for name, _ in checked.headers)
    for at in range(count):
        try:
            good = checked.verify(idx=at)
        except dkim.DKIMException as error:
            good = error
        print("pass" if good is True else f"fail {good}")
elif command == "arc":
    outcome, sets, why = dkim.arc_verify(message())
    print("pass" if outcome == dkim.CV_Pass else f"fail {outcome}", len(sets), why)
elif command == "sign":
    selector, domain, path, algorithm, header, body = words
    out(dkim.sign(message(), selector.encode(), domain.encode(), key(path), signature_algorithm=algorithm.encode(),
                  canonicalize=(header.encode(), body.encode())))
elif command == "seal":
    selector, domain, path, authserv_id = words
    out(b"".join(dkim.arc_sign(message(), selector.encode(), domain.encode(), key(path), authserv_id.encode())))
elif command == "spf":
    address, sender, hello = words
    print(spf.check2(address, sender, hello)[0])
