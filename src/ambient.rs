//! Works out where this runs. The order is documented in docs/identity.md and pinned by the tests below:
//!
//! 1. A role is named and an OIDC platform is recognised: its identity token is exchanged at STS. Jobs come
//!    before the machines that they run on.
//! 2. The AWS default chain.

use std::sync::Arc;

use arc_swap::ArcSwapOption;

use crate::chain::Chain;
use crate::credentials::{Caller, Credentials, Fetch, Finding, Source, State};
use crate::error::{Attempt, Error, Kind, Result};
use crate::oidc::{AUDIENCE_VARIABLE, KNOWN, Known, TOKEN_FILE};
use crate::sts::request::RoleRequest;
use crate::surroundings::{Here, Surroundings};
use crate::web_identity::WebIdentity;

/// For pgiam alone, where `AWS_ROLE_ARN` is spoken for: by a token file that goes with it, or another tool.
const OWN_ROLE: &str = "PGIAM_ROLE_ARN";
const ROLE: &str = "AWS_ROLE_ARN";
/// Set by a job for itself, these say as plainly as a role does which credentials are meant.
const EXPLICIT: [&str; 2] = ["AWS_ACCESS_KEY_ID", "AWS_PROFILE"];
/// Its init writes the token file from the very API that is asked here, and nobody promises that it is renewed.
const WRITES_FILE_ITSELF: &str = "Fly.io";

enum Verdict {
    Platform {
        known: &'static Known,
        role_arn: String,
    },
    Chain,
    /// Here, and broken.
    Broken(Error),
}

fn look(around: &dyn Surroundings) -> (Vec<Finding>, Verdict) {
    let own = around.variable(OWN_ROLE);
    let role = own.clone().or_else(|| around.variable(ROLE));
    // AWS's pair: this role goes with that file, and the chain has a link for it.
    let is_paired = own.is_none() && around.is_set(TOKEN_FILE);
    let explicit = EXPLICIT.iter().find(|name| own.is_none() && around.is_set(name));
    let mut verdict = Verdict::Chain;
    let mut findings = Vec::new();
    for known in &KNOWN {
        let presence = (known.detect)(around);
        let passed_over = |reason: String| Finding::new(known.name, State::PassedOver, reason);
        findings.push(match (presence, &role, &verdict) {
            (None, ..) => passed_over("not here".to_owned()),
            (Some(_), _, Verdict::Platform { .. } | Verdict::Broken(_)) => {
                Finding::new(known.name, State::NotReached, "what is above comes first")
            }
            (Some(presence), None, _) => passed_over(format!("{}, but no {ROLE}", presence.because)),
            (Some(presence), Some(_), _) if is_paired && known.name != WRITES_FILE_ITSELF => {
                passed_over(format!("{}, but {ROLE} goes with {TOKEN_FILE}", presence.because))
            }
            (Some(presence), Some(role_arn), _) => match (presence.missing, explicit) {
                (None, _) => {
                    verdict = Verdict::Platform {
                        known,
                        role_arn: role_arn.clone(),
                    };
                    Finding::new(known.name, State::Taken, presence.because)
                }
                (Some(missing), Some(name)) => {
                    passed_over(format!("{}, but {missing}; {name} is set", presence.because))
                }
                (Some(missing), None) => {
                    verdict = Verdict::Broken(broken(known, &presence.because, missing));
                    Finding::new(
                        known.name,
                        State::Taken,
                        format!("{}, but {missing}", presence.because),
                    )
                }
            },
        });
    }
    if let (Some(_), Verdict::Chain) = (&own, &verdict) {
        verdict = Verdict::Broken(Error::configuration(
            format!("{OWN_ROLE} is set, and no platform that gives identity tokens is recognised here"),
            "Unset it where there is none, or pass pgiam.WebIdentity with the source of the identity token.",
        ));
    }
    (findings, verdict)
}

fn broken(known: &Known, because: &str, missing: &str) -> Error {
    Error::new(
        Kind::IdentityToken,
        format!(
            "this is {} ({because}) and a role is named, but {missing}",
            known.name
        ),
        format!(
            "Add what is missing, or set AWS_PROFILE or AWS_ACCESS_KEY_ID if other credentials are meant; \
                 unset {ROLE} to use those of the machine."
        ),
    )
}

/// Stays with what has answered once: a platform that fails later does not turn into another identity.
pub struct Ambient {
    chain: Arc<Chain>,
    answered: Arc<ArcSwapOption<Choice>>,
}

type Choice = Arc<dyn Source>;

impl Ambient {
    pub fn new() -> Self {
        Self {
            chain: Arc::new(Chain::new()),
            answered: Arc::new(ArcSwapOption::empty()),
        }
    }

    fn choose(&self) -> Result<Choice> {
        if let Some(choice) = self.answered.load_full() {
            return Ok(Arc::clone(&choice));
        }
        let (findings, verdict) = look(&Here);
        let with_attempts = |error: Error| error.with_attempts(attempts(findings));
        match verdict {
            Verdict::Chain => Ok(Arc::clone(&self.chain) as Choice),
            Verdict::Broken(error) => Err(with_attempts(error)),
            Verdict::Platform { known, role_arn } => {
                let identity = (known.source)(Here.variable(AUDIENCE_VARIABLE));
                let source =
                    RoleRequest::new(role_arn).and_then(|request| WebIdentity::new(request, identity));
                Ok(Arc::new(source.map_err(with_attempts)?))
            }
        }
    }
}

impl Default for Ambient {
    fn default() -> Self {
        Self::new()
    }
}

impl Source for Ambient {
    fn at_hand(&self) -> Option<Result<Credentials>> {
        match self.answered.load().as_ref() {
            Some(choice) => choice.at_hand(),
            // Where no role is named nothing is looked at: most first tokens come by here.
            None if !Here.is_set(ROLE) && !Here.is_set(OWN_ROLE) => self.chain.at_hand(),
            None => None,
        }
    }

    fn fetch(&self, caller: Caller) -> Fetch {
        let choice = match self.choose() {
            Ok(choice) => choice,
            Err(error) => return Box::pin(std::future::ready(Err(error.into()))),
        };
        let fetch = choice.fetch(caller);
        let answered = Arc::clone(&self.answered);
        Box::pin(async move {
            let credentials = fetch.await?;
            answered.store(Some(Arc::new(choice)));
            Ok(credentials)
        })
    }

    fn explain(&self) -> Vec<Finding> {
        let (mut findings, verdict) = look(&Here);
        let chain = self.chain.explain();
        findings.extend(match verdict {
            Verdict::Chain => chain,
            _ => chain
                .into_iter()
                .map(|finding| Finding::new(finding.source, State::NotReached, "what is above comes first"))
                .collect(),
        });
        findings
    }
}

fn attempts(findings: Vec<Finding>) -> Vec<Attempt> {
    let looked_at = findings
        .into_iter()
        .filter(|finding| finding.state != State::NotReached);
    looked_at
        .map(|finding| Attempt {
            source: finding.source,
            outcome: finding.reason,
        })
        .collect()
}

#[cfg(test)]
mod tests;
