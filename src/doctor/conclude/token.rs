//! The auth token, taken apart. Neither its signature nor its session token is shown.

use super::shown_span;
use crate::clock::Time;
use crate::doctor::advice::advise;
use crate::doctor::cause::Cause;
use crate::doctor::diagnosis::{Diagnosis, Stage, Status};
use crate::doctor::situation::Situation;
use crate::endpoint::{Endpoint, Kind};
use crate::error::Error;
use crate::token::AuthToken;

const SHORT: std::time::Duration = std::time::Duration::from_secs(60);

pub fn token(
    token: &AuthToken,
    endpoint: &Endpoint,
    known: &Situation,
    signed_at: Time,
    limited_by_credentials: bool,
) -> Diagnosis {
    let text = token.value.reveal();
    let claim = |name: &str| {
        let query = text.split_once('?').map_or("", |(_, query)| query);
        query
            .split('&')
            .find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
            .map(str::to_owned)
    };
    let left = signed_at.until(token.expires_at);
    let action = claim("Action");
    let mut diagnosis = match left < SHORT {
        false => {
            let title = format!("good for {}", shown_span(left));
            Diagnosis::new(Stage::Token, Status::Ok, "token.ok", title)
        }
        true => {
            let title = format!("the auth token is good for {} only", shown_span(left));
            let mut short = Diagnosis::new(Stage::Token, Status::Warning, "token.short", title);
            short.why = "A connection that takes longer to open is refused.".to_owned();
            short.fix = match limited_by_credentials {
                true => "Renew the credentials: a token ends when they do.".to_owned(),
                false => "Leave --expires-in out for 15 minutes.".to_owned(),
            };
            short
        }
    };
    let port = match endpoint.kind {
        Kind::Dsql => String::new(),
        _ => format!(":{}", endpoint.token_port),
    };
    diagnosis = diagnosis.saw(format!(
        "{} as {} on {}{port} in {}",
        known.action(),
        known.user(),
        endpoint.token_host,
        endpoint.region
    ));
    if limited_by_credentials {
        diagnosis = diagnosis.saw("limited by the end of the credentials");
    }
    diagnosis
        .fact("action", action)
        .fact("user", known.user.clone())
        .fact("host", endpoint.token_host.clone())
        .fact(
            "port",
            (endpoint.kind != Kind::Dsql).then_some(endpoint.token_port),
        )
        .fact("region", endpoint.region.clone())
        .fact("service", endpoint.kind.service())
        .fact("signed_at", claim("X-Amz-Date"))
        .fact("expires_at", token.expires_at.to_string())
        .fact("has_session_token", claim("X-Amz-Security-Token").is_some())
        .fact("limited_by_credentials", limited_by_credentials)
        .fact("bytes", text.len() as i64)
}

pub fn no_token(error: &Error, known: &Situation) -> Diagnosis {
    let mut diagnosis = advise(Cause::TokenNotSigned, known).saw(error.message.clone());
    diagnosis.fix.clone_from(&error.hint);
    diagnosis
}
