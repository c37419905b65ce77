//! Errors, sorted by who must act; each says what to do next.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Who must act.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The caller passed something that cannot be right.
    Configuration,
    /// As `Configuration`, and the value is of the wrong type.
    WrongType,
    /// The host, or what is known of it, does not name a database endpoint.
    Endpoint,
    /// No source gave AWS credentials.
    Credentials,
    /// The platform gave no identity token, or none that could be one.
    IdentityToken,
    /// STS refused.
    Exchange,
    /// The network, or a service behind it: the same call may work later.
    Transport,
}

/// One source that was looked at, and why it was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    pub source: String,
    pub outcome: String,
}

/// What STS answered, and what it had been shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refusal {
    pub code: String,
    pub request_id: Option<String>,
    /// Name and value of the identity token's claims that a trust policy compares.
    pub claims: Vec<(String, String)>,
}

/// Cheap to clone: everybody who waited for one failed fetch gets the same error.
#[derive(Clone, Debug)]
pub struct Error {
    pub kind: Kind,
    pub message: String,
    pub hint: String,
    pub attempts: Vec<Attempt>,
    pub refusal: Option<Arc<Refusal>>,
    /// What lies behind it; for a failed Python callable its exception.
    pub cause: Option<Arc<dyn StdError + Send + Sync>>,
}

impl Error {
    pub fn new(kind: Kind, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            hint: hint.into(),
            attempts: Vec::new(),
            refusal: None,
            cause: None,
        }
    }

    pub fn configuration(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::new(Kind::Configuration, message, hint)
    }

    pub fn endpoint(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::new(Kind::Endpoint, message, hint)
    }

    pub fn credentials(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::new(Kind::Credentials, message, hint)
    }

    pub fn transport(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::new(Kind::Transport, message, hint)
    }

    pub fn with_refusal(mut self, refusal: Refusal) -> Self {
        self.refusal = Some(Arc::new(refusal));
        self
    }

    pub fn with_attempts(mut self, attempts: Vec<Attempt>) -> Self {
        self.attempts = attempts;
        self
    }

    pub fn with_cause(mut self, cause: impl StdError + Send + Sync + 'static) -> Self {
        self.cause = Some(Arc::new(cause));
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.cause
            .as_ref()
            .map(|cause| cause.as_ref() as &(dyn StdError + 'static))
    }
}

/// A value for an error message: shortened, and with control characters made visible.
pub fn shown(value: &str) -> String {
    const LIMIT: usize = 80;
    let mut out = String::with_capacity(value.len().min(LIMIT) + 8);
    for (count, character) in value.chars().enumerate() {
        if count == LIMIT {
            out.push_str("...");
            break;
        }
        out.extend(character.escape_debug());
    }
    out
}
