//! A refused login, narrowed: what was tested, what that excludes, what remains.

use crate::clock::ClockOffset;
use crate::doctor::advice::advise;
use crate::doctor::cause::Cause;
use crate::doctor::conclude::endpoint::{endpoint_behind, is_endpoint};
use crate::doctor::diagnosis::{Diagnosis, Stage, Status, Value};
use crate::doctor::observe::login::Demand;
use crate::doctor::refusal::{Refusal, meaning};
use crate::doctor::situation::Situation;
use crate::endpoint::{DEFAULT_PORT, Endpoint, Kind};

/// Sign something else, and see whether that opens the door: the proof of what was wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    Host(String),
    Port(u16),
    Region(String),
    Clock(ClockOffset),
}

impl Change {
    fn described(&self) -> String {
        match self {
            Change::Host(host) => format!("signed for {host}"),
            Change::Port(port) => format!("signed for port {port}"),
            Change::Region(region) => format!("signed for region {region}"),
            Change::Clock(_) => "signed with AWS's time".to_owned(),
        }
    }

    fn cause(&self) -> Cause {
        match self {
            Change::Host(_) => Cause::SignedWrongHost,
            Change::Port(_) => Cause::SignedWrongPort,
            Change::Region(_) => Cause::SignedWrongRegion,
            Change::Clock(offset) if offset.seconds() > 0 => Cause::SignatureExpired,
            Change::Clock(_) => Cause::SignatureNotYetValid,
        }
    }

    fn fix(&self) -> String {
        match self {
            Change::Host(host) => format!(
                "Pass --token-host {host} (token_host=, PGIAM_TOKEN_HOST); the connection stays as it is."
            ),
            Change::Port(port) => format!(
                "Name the port in what is signed: --token-host <endpoint>:{port} (token_host=, PGIAM_TOKEN_HOST)."
            ),
            Change::Region(region) => format!("Pass --region {region} (region=)."),
            Change::Clock(_) => "Set this machine's clock by NTP.".to_owned(),
        }
    }
}

/// How much is known about the credentials themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trusted {
    ByAws,
    Unknown,
}

/// Everything about a login that the server refused.
#[derive(Clone, Debug)]
pub struct Evidence {
    pub refusal: Refusal,
    pub demand: Option<Demand>,
    pub trusted: Trusted,
    /// None: not measured.
    pub offset: Option<ClockOffset>,
    /// What else was signed, and whether it opened the door; None if that could not be tried.
    pub trials: Vec<(Change, Option<bool>)>,
    /// The server's own names, by the certificate that was verified.
    pub names: Vec<String>,
}

/// More names than that are not tried: each is a login.
const MAX_HOSTS: usize = 3;

/// What is worth trying after a refusal that may have these causes.
pub fn changes(
    meaning: Option<Cause>,
    endpoint: &Endpoint,
    chain: Option<&[String]>,
    names: &[String],
    offset: Option<ClockOffset>,
    corrected: bool,
    regions: &[String],
) -> Vec<Change> {
    let concerns_token = matches!(
        meaning,
        Some(
            Cause::TokenRefused
                | Cause::SignatureExpired
                | Cause::SignatureNotYetValid
                | Cause::SignatureWrong
                | Cause::SignedWrongRegion
                | Cause::SignedWrongHost
        )
    );
    if !concerns_token {
        return Vec::new();
    }
    let mut changes = Vec::new();
    if let Some(offset) = offset.filter(|offset| *offset != ClockOffset::NONE && !corrected) {
        changes.push(Change::Clock(offset));
    }
    let says_itself = is_endpoint(&endpoint.token_host);
    if endpoint.kind != Kind::Dsql {
        for port in [endpoint.port, DEFAULT_PORT] {
            if port != endpoint.token_port && !changes.contains(&Change::Port(port)) {
                changes.push(Change::Port(port));
            }
        }
    }
    if !says_itself {
        for region in regions {
            let change = Change::Region(region.clone());
            if *region != endpoint.region && !changes.contains(&change) {
                changes.push(change);
            }
        }
    }
    if !is_named(&endpoint.token_host, names) {
        let alias = endpoint_behind(chain).filter(|_| !says_itself);
        let own = names.iter().map(String::as_str).filter(|name| is_endpoint(name));
        let mut hosts: Vec<&str> = Vec::new();
        for host in alias.into_iter().chain(own) {
            if !host.eq_ignore_ascii_case(&endpoint.token_host) && !hosts.contains(&host) {
                hosts.push(host);
            }
        }
        changes.extend(
            hosts
                .into_iter()
                .take(MAX_HOSTS)
                .map(|host| Change::Host(host.to_owned())),
        );
    }
    changes
}

/// True if the certificate names this very endpoint. A wildcard names every one there is.
fn is_named(host: &str, names: &[String]) -> bool {
    is_endpoint(host) && names.iter().any(|name| name.eq_ignore_ascii_case(host))
}

struct Excluded {
    cause: String,
    because: String,
}

pub fn refused(evidence: &Evidence, endpoint: &Endpoint, known: &Situation) -> Diagnosis {
    let said = meaning(&evidence.refusal, known.kind);
    let opened = evidence.trials.iter().find(|(_, opened)| *opened == Some(true));
    let excluded = excluded(evidence, endpoint);
    let (cause, remaining) = match (opened, said) {
        (Some((change, _)), _) => (change.cause(), Vec::new()),
        (None, Some(Cause::TokenRefused)) => cause_of_refused_token(evidence, endpoint),
        (None, Some(cause)) => (cause, Vec::new()),
        (None, None) => (Cause::LoginFailed, Vec::new()),
    };
    let mut diagnosis = advise(cause, known);
    diagnosis = diagnosis.saw(format!(
        "the server says: {}",
        one_line(&evidence.refusal.message)
    ));
    if let Some(hint) = &evidence.refusal.hint {
        diagnosis = diagnosis.saw(format!("and hints: {}", one_line(hint)));
    }
    if let Some((change, _)) = opened {
        diagnosis = diagnosis.saw(format!("{}, a token is accepted", change.described()));
        diagnosis.fix = change.fix();
    }
    if cause == Cause::NotIamUser
        && let Some(demand) = evidence.demand.filter(|demand| *demand != Demand::ClearText)
    {
        diagnosis = diagnosis.saw(format!(
            "it asks for a stored password ({}), not for an auth token",
            demand.name()
        ));
    }
    // Where the server itself said what was wrong, a list of what was not is noise.
    let shows_excluded = said == Some(Cause::TokenRefused) && opened.is_none();
    for one in excluded.iter().filter(|_| shows_excluded) {
        diagnosis = diagnosis.saw(format!("not {}: {}", one.cause, one.because));
    }
    for other in &remaining {
        diagnosis = diagnosis.saw(format!("perhaps: {other}"));
    }
    let list = excluded.iter().map(|one| {
        Value::Table(vec![
            ("cause", one.cause.clone().into()),
            ("because", one.because.clone().into()),
        ])
    });
    diagnosis
        .fact("sqlstate", evidence.refusal.sqlstate.clone())
        .fact("message", evidence.refusal.message.clone())
        .fact("hint", evidence.refusal.hint.clone())
        .fact("asked_for", evidence.demand.map(Demand::name))
        .fact("excluded", Value::List(list.collect()))
        .fact(
            "possible",
            remaining.into_iter().map(str::to_owned).collect::<Vec<_>>(),
        )
}

/// The server said nothing but no.
fn cause_of_refused_token(evidence: &Evidence, endpoint: &Endpoint) -> (Cause, Vec<&'static str>) {
    let mut remaining = Vec::new();
    if !is_endpoint(&endpoint.token_host) {
        remaining.push("the signed name is not the endpoint's own (--token-host)");
    }
    if evidence.trusted == Trusted::Unknown {
        remaining.push("the credentials are not valid (STS could not be asked)");
    }
    if evidence.offset.is_none() {
        remaining.push("this machine's clock is wrong (it could not be compared)");
    }
    match endpoint.kind {
        Kind::RdsProxy => remaining.push("the proxy does not require IAM, or lacks this user's secret"),
        Kind::Rds => remaining.push("IAM authentication is not enabled on the instance"),
        Kind::Dsql => remaining.push("the role is not linked to the user (AWS IAM GRANT)"),
    }
    match evidence.demand {
        Some(Demand::Scram | Demand::Md5) => (Cause::NotIamUser, Vec::new()),
        _ => (Cause::PolicyMissing, remaining),
    }
}

fn excluded(evidence: &Evidence, endpoint: &Endpoint) -> Vec<Excluded> {
    let mut list = Vec::new();
    let mut add = |cause: &str, because: &str| {
        list.push(Excluded {
            cause: cause.to_owned(),
            because: because.to_owned(),
        });
    };
    if evidence.demand == Some(Demand::ClearText) && endpoint.kind == Kind::Rds {
        add(
            "a wrong user or missing rds_iam",
            "the server asks for a token, as it does for IAM users only",
        );
    }
    if evidence.trusted == Trusted::ByAws {
        add("expired or foreign credentials", "STS accepts them");
    }
    if evidence.offset == Some(ClockOffset::NONE) {
        add("a wrong clock", "it agrees with AWS's");
    }
    if is_endpoint(&endpoint.token_host) {
        add(
            "a wrong region",
            &format!("the endpoint's name says {}", endpoint.region),
        );
        if endpoint.token_host.eq_ignore_ascii_case(&endpoint.host) {
            add("a signed alias", "the endpoint's own name is signed");
        } else if is_named(&endpoint.token_host, &evidence.names) {
            add("a wrong signed host", "the server's certificate names it");
        }
    }
    add("a missing server name (SNI)", "TLS was verified by it");
    add("an expired token", "it was signed just now");
    for (change, opened) in &evidence.trials {
        if *opened == Some(false) {
            let (cause, what) = match change {
                Change::Host(host) => ("a wrong signed host", format!("{host} is refused too")),
                Change::Port(port) => ("a wrong signed port", format!("{port} is refused too")),
                Change::Region(region) => ("a wrong region", format!("{region} is refused too")),
                Change::Clock(_) => (
                    "the clock alone",
                    "a token with AWS's time is refused too".to_owned(),
                ),
            };
            add(cause, &what);
        }
    }
    list
}

pub fn accepted(known: &Situation, took: std::time::Duration) -> Diagnosis {
    let title = format!("accepted as {} in {}", known.user(), super::shown_duration(took));
    Diagnosis::new(Stage::Login, Status::Ok, "login.ok", title)
        .fact("user", known.user.clone())
        .fact("database", known.database.clone())
        .fact(
            "milliseconds",
            i64::try_from(took.as_millis()).unwrap_or(i64::MAX),
        )
}

fn one_line(text: &str) -> String {
    let mut line: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if let Some((end, _)) = line.char_indices().nth(300) {
        line.truncate(end);
        line.push_str("...");
    }
    line.chars().filter(|character| !character.is_control()).collect()
}

#[cfg(test)]
mod tests;
