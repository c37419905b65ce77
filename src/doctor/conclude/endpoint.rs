//! Host -> endpoint, with what DNS knows of the host.

use crate::doctor::advice::advise;
use crate::doctor::cause::Cause;
use crate::doctor::diagnosis::{Diagnosis, Stage, Status};
use crate::doctor::situation::Situation;
use crate::endpoint::{Address, Endpoint, Kind};
use crate::error::Error;

/// The AWS database endpoint that a name is an alias of.
pub fn endpoint_behind(chain: Option<&[String]>) -> Option<&str> {
    let names = chain.unwrap_or_default();
    names.iter().map(String::as_str).find(|name| is_endpoint(name))
}

/// True if the name by itself says which database in which region it is.
pub fn is_endpoint(name: &str) -> bool {
    let address = Address {
        host: name,
        ..Address::default()
    };
    Endpoint::parse(&address, || None).is_ok()
}

pub fn described(kind: Kind) -> &'static str {
    match kind {
        Kind::Rds => "RDS or Aurora",
        Kind::RdsProxy => "RDS Proxy",
        Kind::Dsql => "Aurora DSQL",
    }
}

pub fn endpoint(endpoint: &Endpoint, chain: Option<&[String]>, known: &Situation) -> Diagnosis {
    let alias = endpoint_behind(chain).filter(|_| !is_endpoint(&endpoint.token_host));
    let mut diagnosis = match alias {
        None => {
            let title = format!("{} in {}", described(endpoint.kind), endpoint.region);
            Diagnosis::new(Stage::Endpoint, Status::Ok, "endpoint.ok", title)
        }
        Some(real) => {
            let mut alias = advise(Cause::EndpointAlias, known)
                .saw(format!("DNS: {} is an alias of {real}", endpoint.host))
                .fact("endpoint_behind", real);
            alias.status = Status::Warning;
            alias.fix = format!(
                "Pass --token-host {real} (token_host=, PGIAM_TOKEN_HOST); keep connecting to the alias."
            );
            alias
        }
    };
    let (host, port) = (&endpoint.token_host, endpoint.token_port);
    if endpoint.token_host != endpoint.host || endpoint.token_port != endpoint.port {
        diagnosis = diagnosis.saw(format!("signed for {host}:{port}"));
    } else if !is_endpoint(host) {
        diagnosis = diagnosis.saw(format!(
            "the name itself is signed, for region {}",
            endpoint.region
        ));
    }
    diagnosis
        .fact("kind", endpoint.kind.name())
        .fact("region", endpoint.region.clone())
        .fact("partition", endpoint.partition.name)
        .fact("host", endpoint.host.clone())
        .fact("port", endpoint.port)
        .fact("token_host", host.clone())
        .fact("token_port", port)
        .fact("cluster_id", endpoint.cluster_id.clone())
}

/// `error` is why there is no endpoint.
pub fn no_endpoint(error: &Error, chain: Option<&[String]>, known: &Situation) -> Diagnosis {
    let is_foreign = error.message.contains("is no AWS database endpoint");
    let mut diagnosis = match (endpoint_behind(chain), is_foreign) {
        (Some(real), true) => {
            let mut alias = advise(Cause::EndpointAlias, known)
                .saw(format!("DNS: {} is an alias of {real}", known.host()))
                .fact("endpoint_behind", real);
            alias.fix = format!(
                "Pass --token-host {real} (token_host=, PGIAM_TOKEN_HOST); keep connecting to the alias."
            );
            return alias;
        }
        (None, true) => return advise(Cause::EndpointNotAws, known),
        _ if error.message == "host is missing" => return advise(Cause::HostMissing, known),
        _ if error.message == "user is missing" => return advise(Cause::UserMissing, known),
        _ if error.message.contains(" contradicts host ") => advise(Cause::RegionConflict, known),
        _ => advise(Cause::EndpointInvalid, known),
    };
    diagnosis.title.clone_from(&error.message);
    diagnosis.fix.clone_from(&error.hint);
    diagnosis
}
