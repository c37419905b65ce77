//! Vercel: in production the token comes with each request, not in the environment.
//! <https://vercel.com/docs/oidc/reference>
//!
//! A pool worker or an early refresh has no request, so the freshest token that this process has seen
//! serves it: all tokens of a deployment say the same but for their times.

use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwapOption;

use super::{Presence, WebIdentityFile};
use crate::clock;
use crate::credentials::{Caller, Failure};
use crate::error::{Attempt, Error, Kind, Result};
use crate::identity_token::{AskAnywhere, Asking, IdentitySource, IdentityToken, TokenFetch};
use crate::oidc::Platform;
use crate::secret::Secret;
use crate::surroundings::{Here, Surroundings};

const ON_VERCEL: &str = "VERCEL";
const FILE: &str = "VERCEL_OIDC_TOKEN_FILE";
const VARIABLE: &str = "VERCEL_OIDC_TOKEN";
const HEADER: &str = "x-vercel-oidc-token";
const HINT: &str = "Enable OIDC in the project's settings, and let requests pass pgiam.oidc.VercelMiddleware or the \
    vercel package; for local development run `vercel env pull`.";

/// Reads the tokens of the request that the calling thread serves, if it serves one. The binding sets it.
pub static OF_REQUEST: OnceLock<fn() -> Vec<Secret>> = OnceLock::new();

static FRESHEST: ArcSwapOption<IdentityToken> = ArcSwapOption::const_empty();

/// Keeps the token that lives longest. False if `token` is none.
pub fn saw(token: Secret) -> bool {
    if FRESHEST
        .load()
        .as_ref()
        .is_some_and(|known| known.reveal() == token.reveal().trim())
    {
        return true;
    }
    let Ok(token) = IdentityToken::parse(token, HEADER) else {
        return false;
    };
    let token = Arc::new(token);
    FRESHEST.rcu(|known| match known {
        Some(known) if known.claims.expires_at >= token.claims.expires_at => Some(Arc::clone(known)),
        _ => Some(Arc::clone(&token)),
    });
    true
}

pub struct Vercel;

impl Vercel {
    pub fn detect(surroundings: &dyn Surroundings) -> Option<Presence> {
        let marks = [ON_VERCEL, FILE, VARIABLE];
        let found = marks.into_iter().find(|name| surroundings.is_set(name))?;
        Some(Presence::new(format!("{found} is set"), None))
    }
}

impl IdentitySource for Vercel {
    fn name(&self) -> String {
        "Vercel".to_owned()
    }

    fn begin(&self, _: Caller) -> Arc<dyn Asking> {
        // Here, because only the caller's thread knows its request. Off Vercel anyone can send the header.
        let read = OF_REQUEST.get().filter(|_| Here.is_set(ON_VERCEL));
        for token in read.map(|read| read()).unwrap_or_default() {
            saw(token);
        }
        Arc::new(AskAnywhere(fetch))
    }
}

fn fetch() -> TokenFetch {
    let (file, variable) = (Here.variable(FILE), Here.variable(VARIABLE));
    Box::pin(async move { Ok(freshest(file, variable).await?) })
}

async fn freshest(file: Option<String>, variable: Option<String>) -> Result<IdentityToken> {
    let now = clock::now();
    let mut attempts = Vec::new();
    let mut passed_over = |source: &str, outcome: String| {
        attempts.push(Attempt {
            source: source.to_owned(),
            outcome,
        });
    };
    match FRESHEST.load_full() {
        Some(token) if token.is_alive(now) => return Ok((*token).clone()),
        Some(token) => passed_over(HEADER, ended(&token)),
        None => passed_over(HEADER, "no request has brought one".to_owned()),
    }
    match file {
        None => passed_over(FILE, "not set".to_owned()),
        Some(path) => match WebIdentityFile::new(Some(path)).fetch().await {
            Ok(token) if token.is_alive(now) => return Ok(token),
            Ok(token) => passed_over(FILE, ended(&token)),
            Err(Failure::Failed(error)) => passed_over(FILE, error.message),
            Err(Failure::Abandoned) => passed_over(FILE, "not read".to_owned()),
        },
    }
    match variable {
        None => passed_over(VARIABLE, "not set".to_owned()),
        Some(text) => match IdentityToken::parse(text, VARIABLE) {
            Ok(token) if token.is_alive(now) => return Ok(token),
            Ok(token) => passed_over(VARIABLE, ended(&token)),
            Err(error) => passed_over(VARIABLE, error.message),
        },
    }
    let all: Vec<String> = attempts
        .iter()
        .map(|attempt| format!("{}: {}", attempt.source, attempt.outcome))
        .collect();
    Err(Error::new(
        Kind::IdentityToken,
        format!("Vercel gave no identity token ({})", all.join("; ")),
        HINT,
    )
    .with_attempts(attempts))
}

fn ended(token: &IdentityToken) -> String {
    match token.claims.expires_at {
        Some(end) => format!("expired at {end}"),
        None => "does not say when it expires".to_owned(),
    }
}
