//! Environment, credentials, clock.

use super::shown_span;
use crate::clock::{ClockOffset, Time};
use crate::credentials::{Credentials, Finding, State};
use crate::doctor::advice::advise;
use crate::doctor::cause::Cause;
use crate::doctor::diagnosis::{Diagnosis, Stage, Status, Value};
use crate::doctor::situation::Situation;
use crate::error::{Error, Kind, shown};
use crate::sts::Identity;
use crate::surroundings::Surroundings;

/// Their values say where things are, and are no secrets.
const SHOWN: [&str; 15] = [
    "AWS_PROFILE",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "AWS_ROLE_ARN",
    "PGIAM_ROLE_ARN",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_STS",
    "PGHOST",
    "PGPORT",
    "PGUSER",
    "PGDATABASE",
    "PGSSLMODE",
    "PGSSLROOTCERT",
    "PGIAM_CA_FILE",
    "PGIAM_TOKEN_HOST",
];
/// These may hold a password, so that they are set is all that is said.
const HIDDEN: [&str; 5] = [
    "PGPASSWORD",
    "HTTPS_PROXY",
    "https_proxy",
    "HTTP_PROXY",
    "AWS_CA_BUNDLE",
];
/// What a platform says of itself where it is not.
const NOT_HERE: &str = "not here";
const IN_CLEAR: [&str; 3] = ["disable", "allow", "prefer"];
/// AWS refuses what comes from further ahead; a token that is older than 15 minutes has ended.
const MAX_AHEAD: i64 = 5 * 60;
const MAX_BEHIND: i64 = 14 * 60;
const SOON: std::time::Duration = std::time::Duration::from_secs(5 * 60);

pub fn environment(attempts: &[Finding], around: &dyn Surroundings) -> Diagnosis {
    let settled = attempts
        .iter()
        .find(|attempt| attempt.state == State::Taken)
        .or_else(|| attempts.iter().find(|attempt| attempt.state == State::Pending));
    let title = settled.map_or_else(
        || "nothing here says where credentials could come from".to_owned(),
        |attempt| match attempt.state {
            State::Taken => format!("credentials come from {}", attempt.source),
            _ => format!("credentials are looked for, first in {}", attempt.source),
        },
    );
    let weak = around
        .variable("PGSSLMODE")
        .filter(|mode| IN_CLEAR.contains(&mode.as_str()));
    let mut diagnosis = match &weak {
        None => Diagnosis::new(Stage::Environment, Status::Ok, "environment.ok", title),
        Some(mode) => {
            let title = format!("PGSSLMODE={mode} allows connections in clear");
            let mut weak = Diagnosis::new(Stage::Environment, Status::Warning, "environment.weak_tls", title);
            weak.why =
                "An auth token must never cross the wire in clear; pgiam refuses to hand one to a driver \
                        that is set so."
                    .to_owned();
            weak.fix = "Unset PGSSLMODE, or set it to verify-full.".to_owned();
            weak
        }
    };
    for attempt in attempts.iter().filter(|attempt| attempt.reason != NOT_HERE) {
        diagnosis = diagnosis.saw(format!(
            "{}: {}, {}",
            attempt.source,
            attempt.state.name(),
            attempt.reason
        ));
    }
    let elsewhere = attempts.iter().filter(|attempt| attempt.reason == NOT_HERE);
    let elsewhere: Vec<&str> = elsewhere.map(|attempt| attempt.source.as_str()).collect();
    if !elsewhere.is_empty() {
        diagnosis = diagnosis.saw(format!("{NOT_HERE}: {}", elsewhere.join(", ")));
    }
    let mut variables = Vec::new();
    for name in SHOWN {
        if let Some(value) = around.variable(name) {
            variables.push((name, Value::from(shown(&value))));
        }
    }
    for name in HIDDEN.into_iter().filter(|name| around.is_set(name)) {
        variables.push((name, Value::from("(set)")));
    }
    let attempts = attempts.iter().map(|attempt| {
        Value::Table(vec![
            ("source", attempt.source.clone().into()),
            ("state", attempt.state.name().into()),
            ("reason", attempt.reason.clone().into()),
        ])
    });
    diagnosis
        .fact("attempts", Value::List(attempts.collect()))
        .fact("variables", Value::Table(variables))
}

/// What STS said of the credentials.
#[derive(Clone, Debug)]
pub enum Confirmation {
    Confirmed(Identity),
    Refused(Error),
    /// It could not be asked, or did not answer: no word against the credentials.
    Unknown(String),
}

impl Confirmation {
    /// `offset` is the clock's: what STS refuses for the time on it says nothing about the credentials.
    pub fn of(result: Result<Identity, Error>, offset: Option<ClockOffset>) -> Self {
        match result {
            Ok(identity) => Confirmation::Confirmed(identity),
            Err(error) => {
                let code = error.refusal.as_ref().map(|refusal| refusal.code.clone());
                let is_skewed = offset.is_some_and(|offset| offset != ClockOffset::NONE);
                match code.as_deref() {
                    Some(code) if is_about_time(code) && is_skewed => {
                        Confirmation::Unknown("STS refuses the time on the request".to_owned())
                    }
                    Some(code) if is_denial(code) => Confirmation::Refused(error),
                    _ => Confirmation::Unknown(error.message),
                }
            }
        }
    }
}

fn is_about_time(code: &str) -> bool {
    matches!(
        code,
        "SignatureDoesNotMatch" | "RequestExpired" | "RequestTimeTooSkewed" | "InvalidSignatureException"
    )
}

fn is_denial(code: &str) -> bool {
    matches!(
        code,
        "InvalidClientTokenId"
            | "UnrecognizedClientException"
            | "ExpiredToken"
            | "ExpiredTokenException"
            | "SignatureDoesNotMatch"
            | "InvalidSignatureException"
    )
}

fn denial(code: &str) -> Cause {
    match code {
        "ExpiredToken" | "ExpiredTokenException" => Cause::CredentialsExpired,
        "SignatureDoesNotMatch" | "InvalidSignatureException" => Cause::SecretKeyWrong,
        _ => Cause::CredentialsRefused,
    }
}

pub fn credentials(
    credentials: &Credentials,
    confirmation: &Confirmation,
    known: &Situation,
    true_now: Time,
) -> Diagnosis {
    let left = credentials.expires_at.map(|end| true_now.until(end));
    let has_expired = left.is_some_and(|left| left.is_zero());
    let mut diagnosis = match confirmation {
        Confirmation::Refused(error) => {
            let code = error.refusal.as_ref().map_or("", |refusal| refusal.code.as_str());
            advise(denial(code), known).saw(format!("STS: {}", error.message))
        }
        _ if has_expired => advise(Cause::CredentialsExpired, known),
        Confirmation::Confirmed(identity) => {
            let title = format!("{} (account {})", principal_name(&identity.arn), identity.account);
            match left.filter(|left| *left < SOON) {
                None => Diagnosis::new(Stage::Credentials, Status::Ok, "credentials.ok", title),
                Some(left) => expiring(left),
            }
            .saw(identity.arn.clone())
        }
        Confirmation::Unknown(reason) => {
            let mut unknown = Diagnosis::new(
                Stage::Credentials,
                Status::Warning,
                "credentials.unconfirmed",
                "found, but STS could not be asked whose they are",
            )
            .saw(reason.clone());
            unknown.why =
                "Logging in does not need STS, so this may be as it should be; the doctor only knows less."
                    .to_owned();
            unknown.fix =
                "Where the VPC has no way to STS, an interface endpoint for it makes this check work."
                    .to_owned();
            unknown
        }
    };
    let lifetime = match (left, &credentials.session_token) {
        (Some(left), _) if left.is_zero() => "expired".to_owned(),
        (Some(left), _) => format!("expires in {}", shown_span(left)),
        (None, Some(_)) => "temporary, its end is not known here".to_owned(),
        (None, None) => "long-term key".to_owned(),
    };
    diagnosis = diagnosis.saw(format!(
        "key {} from {}, {lifetime}",
        shown(&credentials.access_key),
        credentials.source
    ));
    let identity = match confirmation {
        Confirmation::Confirmed(identity) => Some(identity),
        _ => None,
    };
    diagnosis
        .fact("source", credentials.source.clone())
        .fact("access_key", credentials.access_key.clone())
        .fact("temporary", credentials.session_token.is_some())
        .fact("expires_at", credentials.expires_at.map(|end| end.to_string()))
        .fact("arn", identity.map(|identity| identity.arn.clone()))
        .fact("account", known.account.clone())
}

fn expiring(left: std::time::Duration) -> Diagnosis {
    let title = format!("the credentials expire in {}", shown_span(left));
    let mut soon = Diagnosis::new(Stage::Credentials, Status::Warning, "credentials.expiring", title);
    soon.why = "An auth token ends with the credentials that signed it.".to_owned();
    soon.fix = "Renew the session, or use a source that renews by itself.".to_owned();
    soon
}

/// The last part of an ARN.
fn principal_name(arn: &str) -> &str {
    arn.splitn(6, ':').nth(5).unwrap_or(arn)
}

/// No credentials at all.
pub fn no_credentials(error: &Error, known: &Situation) -> Diagnosis {
    let cause = match (error.kind, error.attempts.last()) {
        (Kind::Exchange, _) => Cause::ExchangeRefused,
        (Kind::Credentials, _) if error.message.starts_with("no AWS credentials") => {
            Cause::CredentialsMissing
        }
        _ => Cause::CredentialsSourceFailed,
    };
    let mut diagnosis = advise(cause, known);
    if cause != Cause::CredentialsMissing {
        diagnosis = diagnosis.saw(error.message.clone());
        diagnosis.fix.clone_from(&error.hint);
    }
    let attempts = error.attempts.iter().map(|attempt| {
        Value::Table(vec![
            ("source", attempt.source.clone().into()),
            ("outcome", attempt.outcome.clone().into()),
        ])
    });
    diagnosis = diagnosis.fact("attempts", Value::List(attempts.collect()));
    if cause != Cause::CredentialsMissing {
        return diagnosis;
    }
    for attempt in &error.attempts {
        diagnosis = diagnosis.saw(format!("{}: {}", attempt.source, attempt.outcome));
    }
    diagnosis
}

/// `corrected`: pgiam signs with AWS's time, by the answer that brought the credentials.
pub fn clock(offset: Option<ClockOffset>, corrected: bool, known: &Situation) -> Diagnosis {
    let Some(offset) = offset else {
        return Diagnosis::skipped(Stage::Clock, "STS gave no answer to compare the clock with");
    };
    let behind = offset.seconds();
    if behind == 0 {
        return Diagnosis::new(
            Stage::Clock,
            Status::Ok,
            "clock.ok",
            "agrees with AWS's to within a minute",
        )
        .fact("offset_seconds", 0_i64);
    }
    let direction = if behind > 0 { "behind" } else { "ahead of" };
    let amount = shown_span(std::time::Duration::from_secs(behind.unsigned_abs()));
    let mut diagnosis = advise(Cause::ClockWrong, known);
    diagnosis.title = format!("this machine's clock is {amount} {direction} AWS's");
    let is_fatal = !(-MAX_AHEAD..=MAX_BEHIND).contains(&behind);
    if corrected || !is_fatal {
        diagnosis.status = Status::Warning;
    }
    if corrected {
        diagnosis = diagnosis.saw("pgiam signs with AWS's time all the same; other programs do not");
    }
    diagnosis
        .fact("offset_seconds", behind)
        .fact("corrected", corrected)
}
