//! Credentials, and what a source of them is. The sources themselves: `chain.rs` (AWS), the binding
//! (a Python callable).

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use crate::clock::{ClockOffset, Time};
use crate::error::{Error, Result, shown};
use crate::secret::Secret;

/// STS leaves the length of a session token open; botocore's largest is under 4 KB.
const MAX_SESSION_TOKEN: usize = 16 * 1024;
const MAX_KEY: usize = 256;

/// The AWS access key, secret and session token.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    pub access_key: String,
    pub secret_key: Secret,
    pub session_token: Option<Secret>,
    pub expires_at: Option<Time>,
    pub account_id: Option<String>,
    /// Where they came from, in words.
    pub source: String,
    /// The region of the profile that they came with.
    pub region: Option<String>,
    /// How far this machine's clock was off when they were issued.
    pub clock_offset: ClockOffset,
}

impl Credentials {
    /// Takes only what can sign: an empty part makes a token that the database refuses without a word.
    pub fn check(self) -> Result<Credentials> {
        check_part("access key", &self.access_key, MAX_KEY)?;
        check_part("secret key", self.secret_key.reveal(), MAX_KEY)?;
        if let Some(token) = &self.session_token {
            check_part("session token", token.reveal(), MAX_SESSION_TOKEN)?;
        }
        Ok(self)
    }
}

fn check_part(part: &str, value: &str, max: usize) -> Result<()> {
    let problem = if value.is_empty() {
        "is empty".to_owned()
    } else if value.len() > max {
        format!("has {} bytes, more than {max}", value.len())
    } else if value.chars().any(|c| c.is_control() || c.is_whitespace()) {
        "has white space or control characters".to_owned()
    } else {
        return Ok(());
    };
    Err(Error::configuration(
        format!("the {part} {problem}"),
        "Pass the credentials as AWS issued them; leave session_token out for long-term keys.",
    ))
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "<pgiam.Credentials {} from {}",
            shown(&self.access_key),
            self.source
        )?;
        if let Some(end) = self.expires_at {
            write!(f, " until {end}")?;
        }
        f.write_str(">")
    }
}

/// Who waits for the answer: it decides where a Python coroutine can run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caller {
    /// A thread that blocks until the answer is there.
    Thread,
    /// A task on an event loop, on that loop's thread.
    EventLoop,
}

pub type Fetch = Pin<Box<dyn Future<Output = Result<Credentials, Failure>> + Send>>;

/// Why a fetch gave nothing.
#[derive(Debug)]
pub enum Failure {
    Failed(Error),
    /// Whoever ran it went away (an event loop was closed): somebody else should start it anew.
    Abandoned,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure::Failed(error)
    }
}

/// Where credentials come from.
pub trait Source: Send + Sync + 'static {
    /// Called on the thread of the caller who needs them, so that a source can keep what belongs to that
    /// caller; the future then runs on the runtime.
    fn fetch(&self, caller: Caller) -> Fetch;

    /// Answers at once if that needs no network and no other thread.
    fn at_hand(&self) -> Option<Result<Credentials>> {
        None
    }

    /// True if what it gives is the session of a role, which may assume other roles for one hour at most.
    fn is_role_session(&self) -> bool {
        false
    }

    /// Every place that was or would be looked at, without asking any of them.
    fn explain(&self) -> Vec<Finding>;

    /// True if the answer can never change.
    fn is_constant(&self) -> bool {
        false
    }
}

/// What came of one place that credentials could come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Credentials come from here.
    Taken,
    /// Looked at, and passed over.
    PassedOver,
    /// To be asked when credentials are first needed.
    Pending,
    /// Something before it was taken.
    NotReached,
}

impl State {
    pub fn name(self) -> &'static str {
        match self {
            State::Taken => "taken",
            State::PassedOver => "passed over",
            State::Pending => "pending",
            State::NotReached => "not reached",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub source: String,
    pub state: State,
    pub reason: String,
}

impl Finding {
    pub fn new(source: impl Into<String>, state: State, reason: impl Into<String>) -> Self {
        Self {
            source: source.into(),
            state,
            reason: reason.into(),
        }
    }
}

/// Credentials given by hand.
pub struct Constant(pub Credentials);

impl Source for Constant {
    fn fetch(&self, _: Caller) -> Fetch {
        let credentials = self.0.clone();
        Box::pin(std::future::ready(Ok(credentials)))
    }

    fn at_hand(&self) -> Option<Result<Credentials>> {
        Some(Ok(self.0.clone()))
    }

    fn explain(&self) -> Vec<Finding> {
        vec![Finding::new("credentials", State::Taken, "given to the client")]
    }

    fn is_constant(&self) -> bool {
        true
    }
}
