//! DNS and TCP.

use std::net::IpAddr;

use super::shown_duration;
use crate::doctor::advice::advise;
use crate::doctor::cause::Cause;
use crate::doctor::diagnosis::{Diagnosis, Stage, Status, Value};
use crate::doctor::observe::names::{Names, Trouble};
use crate::doctor::observe::tcp::{Attempt, Outcome};
use crate::doctor::situation::Situation;

pub fn literal(address: IpAddr) -> Diagnosis {
    Diagnosis::skipped(Stage::Dns, "the host is an IP address")
        .fact("addresses", vec![address.to_string()])
        .fact("scope", scope(address))
}

pub fn names(names: &Names, known: &Situation) -> Diagnosis {
    let mut diagnosis = match &names.addresses {
        Err((trouble, said)) => {
            let cause = match trouble {
                Trouble::Unknown => Cause::NameUnknown,
                Trouble::NoAnswer => Cause::NameServerSilent,
            };
            advise(cause, known).saw(said.clone())
        }
        Ok(addresses) => {
            let scopes: Vec<&str> = addresses.iter().map(|address| scope(*address)).collect();
            let families = match (
                addresses.iter().any(IpAddr::is_ipv4),
                addresses.iter().any(IpAddr::is_ipv6),
            ) {
                (true, true) => "IPv4 and IPv6",
                (false, _) => "IPv6",
                _ => "IPv4",
            };
            let scope = scopes.first().copied().unwrap_or_default();
            let kind = if scopes.iter().all(|other| *other == scope) {
                scope
            } else {
                "mixed"
            };
            let count = addresses.len();
            let noun = if count == 1 { "address" } else { "addresses" };
            let title = format!("{count} {kind} {noun}, {families}");
            let list: Vec<String> = addresses.iter().map(ToString::to_string).collect();
            Diagnosis::new(Stage::Dns, Status::Ok, "dns.ok", title)
                .saw(list.join(", "))
                .fact("addresses", list)
                .fact("scope", kind)
        }
    };
    if let Some(chain) = names.chain.as_ref().filter(|chain| !chain.is_empty()) {
        diagnosis = diagnosis.saw(format!("alias of {}", chain.join(", then ")));
    }
    let took = i64::try_from(names.took.as_millis()).unwrap_or(i64::MAX);
    diagnosis
        .fact("chain", names.chain.clone())
        .fact("milliseconds", took)
}

/// Who can reach an address.
fn scope(address: IpAddr) -> &'static str {
    match address {
        IpAddr::V4(four) if four.is_loopback() => "loopback",
        IpAddr::V6(six) if six.is_loopback() => "loopback",
        IpAddr::V4(four) if four.is_link_local() => "link-local",
        IpAddr::V6(six) if six.is_unicast_link_local() => "link-local",
        IpAddr::V4(four) if four.is_private() => "private",
        // RFC 6598: the space of carrier NATs, which VPCs use too.
        IpAddr::V4(four) if four.octets()[0] == 100 && four.octets()[1] & 0xC0 == 64 => "private",
        IpAddr::V6(six) if six.is_unique_local() => "private",
        _ => "public",
    }
}

pub fn tcp(attempts: &[Attempt], known: &Situation) -> Diagnosis {
    let connected = attempts
        .iter()
        .find(|attempt| attempt.outcome == Outcome::Connected);
    let is_reset = attempts.last().is_some_and(|last| last.outcome == Outcome::Reset);
    let mut diagnosis = match connected {
        // Somebody accepted it: what comes next is for the next stage to say.
        None if is_reset => Diagnosis::new(Stage::Tcp, Status::Ok, "tcp.ok", "connected, and reset at once"),
        Some(attempt) => {
            let took = shown_duration(attempt.took);
            let title = format!("connected to {} in {took}", attempt.address);
            let first_failed = attempts
                .iter()
                .any(|attempt| attempt.outcome == Outcome::TimedOut);
            if first_failed {
                let mut slow = Diagnosis::new(
                    Stage::Tcp,
                    Status::Warning,
                    "tcp.partly_timed_out",
                    "connected, after an address that did not answer",
                );
                slow.why = "Clients try the addresses in turn, so each connection waits for the silent one."
                    .to_owned();
                slow.fix =
                    "Repair the way to that address (often IPv6 without a route back), or take it out of \
                            DNS."
                        .to_owned();
                slow
            } else {
                Diagnosis::new(Stage::Tcp, Status::Ok, "tcp.ok", title)
            }
        }
        None => advise(cause(attempts), known),
    };
    for attempt in attempts
        .iter()
        .filter(|_| attempts.len() > 1 || connected.is_none())
    {
        let took = shown_duration(attempt.took);
        diagnosis = diagnosis.saw(match attempt.outcome {
            Outcome::Connected => format!("{}: connected in {took}", attempt.address),
            Outcome::Refused => format!("{}: refused after {took}", attempt.address),
            Outcome::TimedOut => format!("{}: no answer for {took}", attempt.address),
            Outcome::Unreachable => format!("{}: no route", attempt.address),
            Outcome::Reset => format!("{}: reset after {took}", attempt.address),
            Outcome::Failed => format!("{}: {}", attempt.address, attempt.said),
        });
    }
    let list = attempts.iter().map(|attempt| {
        Value::Table(vec![
            ("address", attempt.address.to_string().into()),
            ("outcome", outcome(attempt.outcome).into()),
            (
                "milliseconds",
                i64::try_from(attempt.took.as_millis()).unwrap_or(i64::MAX).into(),
            ),
        ])
    });
    diagnosis.fact("attempts", Value::List(list.collect()))
}

/// The address that tells most decides: a refusal shows that somebody is there.
fn cause(attempts: &[Attempt]) -> Cause {
    let any = |wanted| attempts.iter().any(|attempt| attempt.outcome == wanted);
    if any(Outcome::Refused) {
        Cause::PortClosed
    } else if any(Outcome::TimedOut) {
        Cause::PortFiltered
    } else {
        Cause::HostUnreachable
    }
}

fn outcome(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Connected => "connected",
        Outcome::Refused => "refused",
        Outcome::TimedOut => "timed_out",
        Outcome::Unreachable => "unreachable",
        Outcome::Reset => "reset",
        Outcome::Failed => "failed",
    }
}
