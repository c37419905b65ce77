//! Buildkite: its agent asks for the token.
//! <https://buildkite.com/docs/agent/v3/cli-oidc>

use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;
use zeroize::Zeroizing;

use super::{Platform, Presence, audience_or_default};
use crate::error::Result;
use crate::http_call::Service;
use crate::identity_token::{IdentityToken, TokenFetch};
use crate::secret::Secret;
use crate::surroundings::Surroundings;

const PROGRAM: &str = "buildkite-agent";
const TIMEOUT: Duration = Duration::from_secs(20);
const SERVICE: Service = Service {
    name: "Buildkite",
    hint: "Run inside a Buildkite job with buildkite-agent on PATH; containers need BUILDKITE_AGENT_ACCESS_TOKEN.",
};

#[derive(Clone)]
pub struct Buildkite {
    audience: Option<String>,
}

impl Buildkite {
    pub fn new(audience: Option<String>) -> Self {
        Self { audience }
    }
}

impl Platform for Buildkite {
    fn name(&self) -> String {
        SERVICE.name.to_owned()
    }

    fn detect(surroundings: &dyn Surroundings) -> Option<Presence> {
        if surroundings.variable("BUILDKITE")? != "true" {
            return None;
        }
        let complete = surroundings.is_set("BUILDKITE_AGENT_ACCESS_TOKEN");
        let missing = "BUILDKITE_AGENT_ACCESS_TOKEN is not set";
        Some(Presence::new("BUILDKITE=true", (!complete).then_some(missing)))
    }

    fn fetch(&self) -> TokenFetch {
        let audience = audience_or_default(self.audience.clone());
        Box::pin(async move { Ok(fetched(&audience).await?) })
    }
}

async fn fetched(audience: &str) -> Result<IdentityToken> {
    let mut agent = Command::new(PROGRAM);
    agent
        .args(["oidc", "request-token", "--audience", audience])
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let output = match tokio::time::timeout(TIMEOUT, agent.output()).await {
        Ok(Ok(output)) => output,
        Ok(Err(error)) => return Err(SERVICE.refused(format!("{PROGRAM} could not be run: {error}"))),
        Err(_) => return Err(SERVICE.unreachable(&format!("no answer within {} s", TIMEOUT.as_secs()))),
    };
    let text = Zeroizing::new(output.stdout);
    if !output.status.success() {
        return Err(SERVICE.refused(format!(
            "{PROGRAM} ended with {}: {}",
            output.status,
            last_words(&output.stderr)
        )));
    }
    let text = std::str::from_utf8(&text).map_err(|_| SERVICE.refused("its answer is no text"))?;
    IdentityToken::parse(Secret::from(text), SERVICE.name)
}

/// The last line of what the agent said, without any word long enough to be a secret.
fn last_words(output: &[u8]) -> String {
    let text = String::from_utf8_lossy(output);
    let line = text
        .lines()
        .rfind(|line| !line.trim().is_empty())
        .unwrap_or("nothing said");
    let words: Vec<&str> = line
        .split_whitespace()
        .map(|word| if word.len() > 60 { "..." } else { word })
        .take(40)
        .collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_words_hold_no_secret() {
        let token = "e".repeat(61);
        let said = format!("starting\nfatal: request failed for {token}: 401\n\n");
        assert_eq!(last_words(said.as_bytes()), "fatal: request failed for ... 401");
        assert_eq!(last_words(b""), "nothing said");
    }
}
