//! The way to the server: DNS, TCP, TLS.

use super::{Advice, Situation};
use crate::doctor::cause::Cause;
use crate::endpoint::Kind;

pub fn advice(cause: Cause, known: &Situation) -> Advice {
    let (host, address) = (known.host(), known.address());
    match cause {
        Cause::NameUnknown => Advice::new(
            format!("the name {host} does not exist"),
            "DNS knows no address for it: misspelt, the database was deleted, or the name is known only inside \
             its VPC.",
            "Copy the endpoint from the console once more; for a private name run this inside the VPC, or over \
             a VPN that brings its DNS.",
        ),
        Cause::NameServerSilent => Advice::new(
            format!("no name server answered for {host}"),
            "Whether the name exists is not known: the resolver of this machine did not answer.",
            "Check the resolver (/etc/resolv.conf, the VPC's DNS settings, a VPN), then try again.",
        ),
        Cause::PortClosed => Advice::new(
            format!("{address} refuses connections"),
            "The machine is there and answers that nothing listens on this port. A security group would not \
             answer at all.",
            "Check the port (the database's own, 5432 unless changed) and that the instance is available; with \
             a tunnel, that the tunnel runs.",
        ),
        Cause::PortFiltered => Advice::new(
            format!("no answer from {address}"),
            "Packets vanish without a refusal: that is how security groups, network ACLs and missing routes look.",
            format!(
                "Let the database's security group admit {} from here, check the subnets' routes and network \
                 ACLs; a database that is not public is reached from inside its VPC only (VPN, bastion).",
                known
                    .port
                    .map_or("its port".to_owned(), |port| format!("TCP {port}"))
            ),
        ),
        Cause::HostUnreachable => Advice::new(
            format!("there is no route to {address}"),
            "This machine, or a router next to it, knows no way to that network.",
            "Check the VPN or the route table; if only IPv6 fails, the machine has no IPv6 connection.",
        ),
        Cause::ResetBeforeTls => Advice::new(
            format!("{address} breaks connections off"),
            "The connection was accepted and reset before a word was said: a load balancer or proxy without a \
             healthy server behind it, or a firewall that inspects traffic.",
            "Check the health of what stands between here and the database, and that this port is PostgreSQL's.",
        ),
        Cause::NotPostgres => Advice::new(
            format!("what listens on {address} is no PostgreSQL server"),
            "It answers, but not in PostgreSQL's protocol.",
            "Check the port: 5432 unless the database was given another one; with a tunnel, where it leads.",
        ),
        Cause::ServerSilent => Advice::new(
            format!("{address} accepts connections and then is silent"),
            "A PostgreSQL server answers the request for TLS at once: this is another kind of server, or an \
             overloaded one.",
            "Check that the port is PostgreSQL's; look at the database's CPU and connections.",
        ),
        Cause::TlsNotOffered => Advice::new(
            format!("{address} does not offer TLS"),
            "An auth token is a password for 15 minutes: it is never sent in clear. Every RDS and Aurora DSQL \
             endpoint offers TLS, so this is something else.",
            "Check that host and port lead to the database itself, and not to a pooler or tunnel that ends TLS.",
        ),
        Cause::TlsClosed => Advice::new(
            "the connection broke during the TLS handshake",
            "The server, or something before it, hung up as TLS began: often a firewall that reads host names, \
             or a load balancer.",
            "Try from inside the VPC; check for TLS inspection between here and the database.",
        ),
        Cause::TlsTimedOut => Advice::new(
            "the TLS handshake did not finish in time",
            "The first packets pass and larger ones do not: typical of a wrong MTU on a VPN, or of a server \
             that is overloaded.",
            "Lower the MTU of the VPN interface and try again, or give a longer --timeout.",
        ),
        Cause::TlsFailed => Advice::new(
            "the TLS handshake failed",
            "Client and server found no common version or cipher, or the server's messages were damaged.",
            "pgiam speaks TLS 1.2 and 1.3; check what answers on this port.",
        ),
        Cause::CertificateUnknownAuthority => unknown_authority(known),
        Cause::CertificateWrongHost => wrong_host(known),
        Cause::CertificateUnverified => Advice::new(
            "the server's certificate could not be verified",
            "The driver does not say why: an unknown authority, an expired certificate, or another host's.",
            match &known.missing_ca {
                Some(hint) => hint.clone(),
                None => {
                    "Run `pgiam doctor` with the same host: it looks at the certificate. The trust file that \
                         comes with pgiam holds the RDS authorities; the system's do not."
                        .to_owned()
                }
            },
        ),
        Cause::CertificateExpired => Advice::new(
            "the server's certificate has expired",
            "Clients that verify it refuse to connect.",
            "On RDS rotate the certificate: choose a current certificate authority (rds-ca-rsa2048-g1) for the \
             instance and apply it. Otherwise renew the certificate of what answers here.",
        ),
        Cause::CertificateNotYetValid => Advice::new(
            "the server's certificate is not valid yet",
            "Its validity begins in the future, so most likely this machine's clock is behind.",
            "Set the clock by NTP.",
        ),
        Cause::TrustFileUnusable => Advice::new(
            "the file of trusted certificate authorities cannot be used",
            "Without it the server's certificate cannot be verified.",
            "Unset PGSSLROOTCERT and PGIAM_CA_FILE to use the file that comes with pgiam, or name a readable \
             PEM file in them.",
        ),
        _ => Advice::new(
            "the server's certificate cannot be accepted",
            "It is not one that a verifying client may trust.",
            "Check what answers on this port; RDS and Aurora DSQL have certificates that verify.",
        ),
    }
}

fn unknown_authority(known: &Situation) -> Advice {
    let why = "Nobody that is trusted here vouches for the server, so it may be any server, and an auth token \
               must not go to it.";
    let fix = match (&known.missing_ca, known.kind) {
        (Some(hint), _) => hint.clone(),
        (None, Some(Kind::Rds)) => "Use the trust file that comes with pgiam: unset PGSSLROOTCERT and PGIAM_CA_FILE. \
             System certificates do not hold the RDS authorities. If it fails nevertheless, something between \
             here and the database answers in its place."
            .to_owned(),
        (None, _) => "Use the trust file that comes with pgiam (unset PGSSLROOTCERT and PGIAM_CA_FILE), or name the \
             authority's PEM file there. If the server is not yours, something intercepts TLS."
            .to_owned(),
    };
    Advice::new("the certificate comes from an unknown authority", why, fix)
}

fn wrong_host(known: &Situation) -> Advice {
    let host = known.host();
    let title = format!("the certificate is not for {host}");
    let why = "The server proves a name, and it is another one than was dialled.";
    match known.signed_host() {
        Some(signed) if !signed.eq_ignore_ascii_case(host) => Advice::new(
            title,
            why,
            format!(
                "Dial the endpoint's own name: with libpq and psycopg host={signed} and hostaddr=<address of \
                 {host}>; or give {signed} that address in /etc/hosts."
            ),
        ),
        _ => Advice::new(
            title,
            why,
            "Connect by the endpoint's own name; with a tunnel or an alias keep that name as host= and give the \
             address as hostaddr=.",
        ),
    }
}
