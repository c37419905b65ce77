//! Host -> Endpoint: what is signed, for which service and region. Pure.
//!
//! Host forms: AWS, "Aurora endpoint connections", "Using Amazon RDS Proxy", "Using Aurora DSQL with
//! AWS PrivateLink"; label orders as the AWS JDBC wrapper's `RdsUtils` lists them.

use crate::error::{Error, Result, shown};
use crate::partition::{self, Partition};

pub const DEFAULT_PORT: u16 = 5432;
/// RFC 1035: 253 octets, and a dot that some write at the end.
const MAX_HOST: usize = 254;
const DSQL_SUFFIX: &str = "on.aws";
const CLUSTER_ID_LENGTH: usize = 26;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Rds,
    RdsProxy,
    Dsql,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Kind::Rds => "rds",
            Kind::RdsProxy => "rds-proxy",
            Kind::Dsql => "dsql",
        }
    }

    /// The name under which the signature is made.
    pub fn service(self) -> &'static str {
        match self {
            Kind::Rds | Kind::RdsProxy => "rds-db",
            Kind::Dsql => "dsql",
        }
    }
}

/// Where to connect, as the caller put it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Address<'a> {
    pub host: &'a str,
    pub port: Option<u16>,
    /// The caller's own word on the region; contradicting the host's is an error.
    pub region: Option<&'a str>,
    /// `name` or `name:port`: sign this, connect to `host`.
    pub token_host: Option<&'a str>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    pub kind: Kind,
    /// Where to connect. A bare cluster id is written out to its host name.
    pub host: String,
    pub port: u16,
    /// What is signed, in the caller's spelling but for a final dot.
    pub token_host: String,
    pub token_port: u16,
    pub region: String,
    pub partition: &'static Partition,
    /// Of a DSQL cluster.
    pub cluster_id: Option<String>,
}

impl Endpoint {
    /// `ambient_region` serves only a bare DSQL cluster id: every other name either carries its region
    /// or could be anywhere, and a guess there ends in "PAM authentication failed".
    pub fn parse(address: &Address<'_>, ambient_region: impl FnOnce() -> Option<String>) -> Result<Endpoint> {
        check_host(address.host, "host")?;
        if let Some(region) = address.region {
            partition::check_region(region)?;
        }
        let port = address.port.unwrap_or(DEFAULT_PORT);
        if port == 0 {
            return Err(Error::endpoint(
                "port 0 is no port",
                "Pass a port from 1 to 65535.",
            ));
        }
        let (signed, signed_port) = match address.token_host {
            None => (address.host, None),
            Some(text) => {
                let (name, port) = split_port(text)?;
                check_host(name, "token_host")?;
                (name, port)
            }
        };
        let (signed, cluster_host) = match written_out(signed, address.region, ambient_region)? {
            Some(host) => (host, true),
            None => (signed.to_owned(), false),
        };
        // A final dot only says that the name is complete; the database knows itself without it.
        let signed = signed.strip_suffix('.').map(str::to_owned).unwrap_or(signed);
        if signed.contains(':') {
            return Err(not_signable(&signed));
        }
        let name = Name::parse(&signed)?;
        let region = match (&name.region, address.region) {
            (Some(found), Some(given)) if !found.eq_ignore_ascii_case(given) => {
                return Err(Error::endpoint(
                    format!(
                        "region {given} contradicts host {}, which is in {found}",
                        shown(&signed)
                    ),
                    "Leave region out: the host's own is right.",
                ));
            }
            (Some(found), _) => found.clone(),
            (None, Some(given)) => given.to_ascii_lowercase(),
            (None, None) => return Err(name.region_missing(&signed)),
        };
        let host = if address.token_host.is_none() && cluster_host {
            signed.clone()
        } else {
            address.host.to_owned()
        };
        Ok(Endpoint {
            kind: name.kind,
            host,
            port,
            token_host: signed,
            token_port: signed_port.unwrap_or(port),
            partition: partition::of_region(&region),
            region,
            cluster_id: name.cluster_id,
        })
    }
}

/// What a name alone says.
struct Name {
    kind: Kind,
    region: Option<String>,
    cluster_id: Option<String>,
    global: bool,
}

impl Name {
    fn parse(signed: &str) -> Result<Name> {
        let lower = signed.to_ascii_lowercase();
        if let Some(rest) = strip_suffix_label(&lower, DSQL_SUFFIX) {
            return Self::dsql(rest).ok_or_else(|| {
                Error::endpoint(
                    format!(
                        "{} is under {DSQL_SUFFIX} but is no Aurora DSQL endpoint",
                        shown(signed)
                    ),
                    "A cluster's endpoint reads <cluster-id>.dsql.<region>.on.aws.",
                )
            });
        }
        if let Some((partition, rest)) = partition::of_host(&lower) {
            return Self::rds(partition, rest, signed);
        }
        Ok(Name {
            kind: Kind::Rds,
            region: None,
            cluster_id: None,
            global: false,
        })
    }

    /// `<id>.dsql.<region>`, or `<id>.dsql-<service>.<region>` through PrivateLink.
    fn dsql(rest: &str) -> Option<Name> {
        let mut labels = rest.split('.');
        let (id, service, region) = (labels.next()?, labels.next()?, labels.next()?);
        let service_fits = service == "dsql" || service.strip_prefix("dsql-").is_some_and(is_word);
        let fits =
            labels.next().is_none() && service_fits && is_word(id) && partition::looks_like_region(region);
        fits.then(|| Name {
            kind: Kind::Dsql,
            region: Some(region.to_owned()),
            cluster_id: Some(id.to_owned()),
            global: false,
        })
    }

    fn rds(partition: &'static Partition, rest: &str, signed: &str) -> Result<Name> {
        let labels: Vec<&str> = rest.split('.').collect();
        let is_rds = |label: &str| label == "rds" || label == "rds-fips";
        let (instance, region) = match labels.as_slice() {
            [instance @ .., region, service] if is_rds(service) => (instance, *region),
            [instance @ .., service, region] if is_rds(service) => (instance, *region),
            _ => return Err(no_database(signed, &labels)),
        };
        let hash = match instance {
            [_, hash] => *hash,
            [_, "endpoint", hash] if hash.starts_with("proxy-") => *hash,
            _ => return Err(no_database(signed, &labels)),
        };
        let kind = if hash.starts_with("proxy-") {
            Kind::RdsProxy
        } else {
            Kind::Rds
        };
        let global = region == "global" && hash.starts_with("global-");
        if global {
            return Ok(Name {
                kind,
                region: None,
                cluster_id: None,
                global,
            });
        }
        if !partition::looks_like_region(region) {
            return Err(no_database(signed, &labels));
        }
        let home = partition::of_region(region);
        if home.suffix != partition.suffix {
            return Err(Error::endpoint(
                format!(
                    "{} names region {region}, whose hosts end in .{}",
                    shown(signed),
                    home.suffix
                ),
                "Copy the endpoint from the RDS console once more: its end is not right.",
            ));
        }
        Ok(Name {
            kind,
            region: Some(region.to_owned()),
            cluster_id: None,
            global,
        })
    }

    fn region_missing(&self, signed: &str) -> Error {
        let host = shown(signed);
        if self.global {
            return Error::endpoint(
                format!("{host} is a global database's writer endpoint: its name has no region"),
                "Pass region=, the region where the writer cluster is now.",
            );
        }
        not_signable(signed)
    }
}

fn not_signable(signed: &str) -> Error {
    Error::endpoint(
        format!(
            "{} is no AWS database endpoint, so nothing says what to sign",
            shown(signed)
        ),
        "Pass token_host= with the real endpoint (as for a tunnel, a CNAME or an IP address), or \
         region= if this name itself is to be signed; PGIAM_TOKEN_HOST does the same as token_host=.",
    )
}

fn no_database(signed: &str, labels: &[&str]) -> Error {
    let host = shown(signed);
    if labels.contains(&"vpce") {
        return Error::endpoint(
            format!("{host} is a VPC endpoint: database tokens are not signed for it"),
            "Pass token_host= with the endpoint of the database behind it, for Aurora DSQL \
             <cluster-id>.dsql.<region>.on.aws.",
        );
    }
    Error::endpoint(
        format!("{host} is an AWS name but no database endpoint"),
        "Endpoints read <name>.<hash>.<region>.rds.amazonaws.com; for a load balancer or another name in \
         front of the database pass token_host= with the database's own endpoint.",
    )
}

/// A bare DSQL cluster id, written out to its host name.
fn written_out(
    name: &str,
    region: Option<&str>,
    ambient_region: impl FnOnce() -> Option<String>,
) -> Result<Option<String>> {
    let is_id = name.len() == CLUSTER_ID_LENGTH
        && name.bytes().all(|b| b.is_ascii_alphanumeric())
        && name.bytes().any(|b| b.is_ascii_digit());
    if !is_id {
        return Ok(None);
    }
    let Some(region) = region.map(str::to_owned).or_else(ambient_region) else {
        return Err(Error::endpoint(
            format!("{name} looks like an Aurora DSQL cluster id, and its region is not known"),
            "Pass region=, set AWS_REGION, or pass the whole endpoint <cluster-id>.dsql.<region>.on.aws.",
        ));
    };
    partition::check_region(&region)?;
    let region = region.to_ascii_lowercase();
    if partition::of_region(&region).name != "aws" {
        return Err(Error::endpoint(
            format!("the host name of an Aurora DSQL cluster in {region} is not known"),
            "Pass the cluster's whole endpoint instead of its id.",
        ));
    }
    Ok(Some(format!(
        "{}.dsql.{region}.{DSQL_SUFFIX}",
        name.to_ascii_lowercase()
    )))
}

/// `name` or `name:port`. IPv6 addresses are not signed, so a second colon is an error.
fn split_port(text: &str) -> Result<(&str, Option<u16>)> {
    let Some((name, port)) = text.split_once(':') else {
        return Ok((text, None));
    };
    match port.parse::<u16>() {
        Ok(port) if port > 0 => Ok((name, Some(port))),
        _ => Err(Error::endpoint(
            format!("token_host {} does not end in a port", shown(text)),
            "Write token_host as <endpoint> or <endpoint>:<port>.",
        )),
    }
}

fn check_host(host: &str, option: &str) -> Result<()> {
    let wrong = |message: String, hint: &str| Err(Error::endpoint(message, hint));
    if host.is_empty() {
        return wrong(
            format!("{option} is empty"),
            "Pass the database's endpoint, or set PGHOST.",
        );
    }
    if host.len() > MAX_HOST {
        return wrong(
            format!("{option} has {} bytes; host names have at most 253", host.len()),
            "Pass the endpoint's host name alone.",
        );
    }
    if host.starts_with('/') || host.starts_with('@') {
        return wrong(
            format!("{option} {} is a Unix socket", shown(host)),
            "IAM authentication needs TCP and TLS: pass the endpoint's host name.",
        );
    }
    if host.contains("://") || host.contains('/') {
        return wrong(
            format!("{option} {} is a URL or a path", shown(host)),
            "Pass the host name alone, without scheme, port or database.",
        );
    }
    // Colons are for IPv6 addresses, which can be connected to and never signed.
    let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b':');
    if !host.bytes().all(fits) {
        return wrong(
            format!("{option} {} has characters that no host name has", shown(host)),
            "Host names have letters, digits, hyphens and dots; write others in punycode.",
        );
    }
    let is_address = host.contains(':');
    if is_address && host.parse::<std::net::Ipv6Addr>().is_err() {
        return wrong(
            format!("{option} {} carries a port", shown(host)),
            "Pass the port as port=.",
        );
    }
    let name = host.strip_suffix('.').unwrap_or(host);
    if !is_address && name.split('.').any(str::is_empty) {
        return wrong(
            format!("{option} {} has an empty label", shown(host)),
            "Take out the extra dot.",
        );
    }
    Ok(())
}

fn is_word(label: &str) -> bool {
    !label.is_empty()
        && label
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

fn strip_suffix_label<'a>(host: &'a str, suffix: &str) -> Option<&'a str> {
    host.strip_suffix(suffix)?.strip_suffix('.')
}

#[cfg(test)]
mod tests;
