//! GitHub Actions: the runner's own token service.
//! <https://docs.github.com/en/actions/reference/security/oidc>

use super::{Platform, Presence, audience_or_default};
use crate::error::{Error, Kind, Result};
use crate::http;
use crate::http_call::{self, Service, query};
use crate::identity_token::{IdentityToken, TokenFetch};
use crate::secret::Secret;
use crate::surroundings::{Here, Surroundings};

const URL: &str = "ACTIONS_ID_TOKEN_REQUEST_URL";
const BEARER: &str = "ACTIONS_ID_TOKEN_REQUEST_TOKEN";
const SERVICE: Service = Service {
    name: "GitHub Actions",
    hint: "Give the job `permissions: id-token: write`; forks' pull requests get no identity token.",
};

#[derive(Clone)]
pub struct GithubActions {
    audience: Option<String>,
}

impl GithubActions {
    pub fn new(audience: Option<String>) -> Self {
        Self { audience }
    }
}

impl Platform for GithubActions {
    fn name(&self) -> String {
        SERVICE.name.to_owned()
    }

    fn detect(surroundings: &dyn Surroundings) -> Option<Presence> {
        if surroundings.variable("GITHUB_ACTIONS")? != "true" {
            return None;
        }
        let complete = surroundings.is_set(URL) && surroundings.is_set(BEARER);
        let missing = "the job has no `permissions: id-token: write`";
        Some(Presence::new(
            "GITHUB_ACTIONS=true",
            (!complete).then_some(missing),
        ))
    }

    fn fetch(&self) -> TokenFetch {
        let audience = audience_or_default(self.audience.clone());
        let (url, bearer) = (Here.variable(URL), Here.variable(BEARER));
        Box::pin(async move { Ok(fetched(&audience, url, bearer).await?) })
    }
}

async fn fetched(audience: &str, url: Option<String>, bearer: Option<String>) -> Result<IdentityToken> {
    let (Some(url), Some(bearer)) = (url, bearer) else {
        return Err(Error::new(
            Kind::IdentityToken,
            format!("{URL} and {BEARER} are not set"),
            SERVICE.hint,
        ));
    };
    let joint = if url.contains('?') { '&' } else { '?' };
    let url = format!("{url}{joint}audience={}", query(audience));
    let authorization = Secret::from(format!("Bearer {bearer}"));
    let headers = [
        ("authorization", authorization),
        ("accept", Secret::from("application/json")),
    ];
    let answer = http_call::get(&SERVICE, &http::public_connector()?, &url, &headers).await?;
    answer.token_in("value", &SERVICE)
}
