//! Cause + Situation -> Diagnosis: why it matters and what to do. Pure, and the one place that knows;
//! `pgiam doctor`, `pgiam.explain` and the log of `pgiam.sqlalchemy` all say it in these words.

mod identity;
mod login;
mod server;
mod way;

use super::cause::Cause;
use super::diagnosis::{Diagnosis, Snippet, Stage, Status};
use super::situation::Situation;

/// Title, why, fix, and what to copy.
struct Advice {
    title: String,
    why: String,
    fix: String,
    snippets: Vec<Snippet>,
}

impl Advice {
    fn new(title: impl Into<String>, why: impl Into<String>, fix: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            why: why.into(),
            fix: fix.into(),
            snippets: Vec::new(),
        }
    }

    fn copy(mut self, label: &'static str, text: impl Into<String>) -> Self {
        let text = text.into();
        self.snippets.push(Snippet { label, text });
        self
    }

    fn policy(self, known: &Situation) -> Self {
        let with_policy = self.copy("IAM policy statement", known.policy());
        match known.resource_lookup() {
            Some(command) if known.resource().contains("-id>") => {
                with_policy.copy("the id that stands there", command)
            }
            _ => with_policy,
        }
    }
}

/// A failure for this cause. What was seen is for the caller to add.
pub fn advise(cause: Cause, known: &Situation) -> Diagnosis {
    let advice = match cause.stage() {
        Stage::Environment | Stage::Credentials | Stage::Clock | Stage::Endpoint | Stage::Token => {
            identity::advice(cause, known)
        }
        Stage::Dns | Stage::Tcp | Stage::Tls => way::advice(cause, known),
        Stage::Login | Stage::Session => login::advice(cause, known),
    };
    let mut diagnosis = Diagnosis::new(cause.stage(), Status::Failure, cause.name(), advice.title);
    diagnosis.why = advice.why;
    diagnosis.fix = advice.fix;
    diagnosis.snippets = advice.snippets;
    diagnosis
}
