//! A role assumed with other credentials, which are kept fresh here: what a machine's metadata service
//! gives for six hours is not asked for at each renewal of the role's hour.

use std::sync::Arc;

use crate::clock;
use crate::credentials::{Caller, Failure, Fetch, Finding, Source, State};
use crate::error::{Result, shown};
use crate::refreshing::{Outcome, Refreshing};
use crate::sts;
use crate::sts::request::{AssumeOptions, RoleRequest, check_chained};

pub struct AssumeRole {
    request: Arc<RoleRequest>,
    options: Arc<AssumeOptions>,
    base: Refreshing,
}

impl AssumeRole {
    pub fn new(request: RoleRequest, options: AssumeOptions, base: Refreshing) -> Result<Self> {
        if base.source().is_role_session() {
            check_chained(request.duration)?;
        }
        Ok(Self {
            request: Arc::new(request.check()?),
            options: Arc::new(options.check()?),
            base,
        })
    }
}

impl Source for AssumeRole {
    fn fetch(&self, caller: Caller) -> Fetch {
        let now = clock::now();
        // On the caller's thread, as every source wants to be called.
        let usable = self.base.usable(caller, now);
        let ticket = match &usable {
            Some(_) => None,
            None => match self.base.wait(caller, now) {
                Ok(ticket) => Some(ticket),
                Err(error) => return Box::pin(std::future::ready(Err(error.into()))),
            },
        };
        let (request, options) = (Arc::clone(&self.request), Arc::clone(&self.options));
        let base = self.base.clone();
        Box::pin(async move {
            let entry = match (usable, ticket) {
                (Some(entry), _) => entry,
                (None, Some(ticket)) => match ticket.outcome().await {
                    Outcome::Ready(entry) => entry,
                    Outcome::Failed(error) => return Err(error.into()),
                    Outcome::Abandoned => return Err(Failure::Abandoned),
                },
                (None, None) => return Err(Failure::Abandoned),
            };
            let credentials = entry.signer.credentials();
            let source = format!("assumed role, by {}", credentials.source);
            match sts::assume_role(&request, &options, credentials, &source).await {
                Err(error) => {
                    if sts::is_expired_token(&error) {
                        // Ended before their time: what comes next begins with new ones.
                        base.invalidate();
                    }
                    Err(error.into())
                }
                assumed => Ok(assumed?),
            }
        })
    }

    fn is_role_session(&self) -> bool {
        true
    }

    fn explain(&self) -> Vec<Finding> {
        let mut findings = self.base.source().explain();
        let reason = "with the credentials above";
        findings.push(Finding::new(
            format!("role {}", shown(&self.request.role_arn)),
            State::Taken,
            reason,
        ));
        findings
    }
}
