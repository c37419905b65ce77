//! An identity token exchanged for the credentials of a role.

use std::sync::Arc;

use crate::credentials::{Caller, Credentials, Failure, Fetch, Finding, Source, State};
use crate::error::{Result, shown};
use crate::identity_token::{Asking, IdentitySource, IdentityToken};
use crate::sts;
use crate::sts::request::RoleRequest;

pub struct WebIdentity {
    request: Arc<RoleRequest>,
    identity: Arc<dyn IdentitySource>,
}

impl WebIdentity {
    pub fn new(request: RoleRequest, identity: Arc<dyn IdentitySource>) -> Result<Self> {
        Ok(Self {
            request: Arc::new(request.check()?),
            identity,
        })
    }
}

impl Source for WebIdentity {
    fn fetch(&self, caller: Caller) -> Fetch {
        // On the caller's thread: its request may hold the token.
        let asking = self.identity.begin(caller);
        let first = asking.ask();
        let request = Arc::clone(&self.request);
        let source = format!("web identity ({})", self.identity.name());
        Box::pin(async move {
            let token = first.await?;
            match sts::assume_role_with_web_identity(&request, &token, &source).await {
                Err(error) if sts::is_expired_token(&error) => {
                    let newer = ask_again(asking).await?;
                    if newer.is_same_as(&token) {
                        return Err(error.into());
                    }
                    Ok(sts::assume_role_with_web_identity(&request, &newer, &source).await?)
                }
                answer => Ok(answer?),
            }
        })
    }

    fn is_role_session(&self) -> bool {
        true
    }

    fn explain(&self) -> Vec<Finding> {
        let reason = format!(
            "to assume {} by its identity token",
            shown(&self.request.role_arn)
        );
        vec![Finding::new(self.identity.name(), State::Taken, reason)]
    }
}

/// On a thread that may wait: a Python source needs the GIL to begin.
async fn ask_again(asking: Arc<dyn Asking>) -> Result<IdentityToken, Failure> {
    match tokio::task::spawn_blocking(move || asking.ask()).await {
        Ok(token) => token.await,
        Err(_) => Err(Failure::Abandoned),
    }
}

/// One exchange, remembered by nobody.
pub async fn exchange(request: RoleRequest, token: IdentityToken) -> Result<Credentials> {
    let request = request.check()?;
    sts::assume_role_with_web_identity(&request, &token, "web identity (given)").await
}
