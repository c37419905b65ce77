//! What an error code of STS means for whoever must act. Pure.
//!
//! Codes and texts: AWS STS API reference, "Common errors" and the pages of the operations; and what AWS is
//! seen to answer.

use std::fmt::Write as _;

use crate::error::{Error, Kind, Refusal, shown};
use crate::identity_token::Claims;

/// An answer of STS that is no success.
#[derive(Clone, Debug, Default)]
pub struct Answered {
    pub code: String,
    pub message: String,
    pub status: u16,
    pub request_id: Option<String>,
}

/// What STS had been shown.
#[derive(Clone, Copy, Debug)]
pub struct Shown<'a> {
    pub operation: &'static str,
    /// None for GetCallerIdentity.
    pub role_arn: Option<&'a str>,
    pub claims: Option<&'a Claims>,
    pub region: &'a str,
    pub has_external_id: bool,
}

impl Answered {
    pub fn into_error(mut self, shown: Shown<'_>) -> Error {
        self.code = shown_text(&self.code);
        self.request_id = self.request_id.as_deref().map(shown_text);
        let (kind, hint) = self.meaning(shown);
        let mut message = match shown.role_arn {
            Some(role) => format!("STS refused {role}: {} ({})", self.text(), self.code),
            None => format!("STS refused {}: {} ({})", shown.operation, self.text(), self.code),
        };
        if kind == Kind::Transport {
            message = format!(
                "STS could not serve {}: {} ({})",
                shown.operation,
                self.text(),
                self.code
            );
        }
        if let Some(claims) = shown.claims {
            let _ = write!(message, "; presented: {claims}");
        }
        Error::new(kind, message, hint).with_refusal(Refusal {
            code: self.code,
            request_id: self.request_id,
            claims: shown.claims.map(Claims::presented).unwrap_or_default(),
        })
    }

    fn text(&self) -> String {
        let text = if self.message.is_empty() {
            "no reason given"
        } else {
            &self.message
        };
        // STS may quote a policy or a role, never the token; still, no answer is taken on trust.
        let words: Vec<&str> = text
            .split_whitespace()
            .map(|word| if word.starts_with("eyJ") { "..." } else { word })
            .collect();
        let mut text: String = words
            .join(" ")
            .chars()
            .take(400)
            .filter(|c| is_plain(*c))
            .collect();
        if text.ends_with('.') {
            text.pop();
        }
        text
    }

    fn meaning(&self, shown: Shown<'_>) -> (Kind, String) {
        let says = |part: &str| self.message.to_ascii_lowercase().contains(part);
        let refused = |hint: String| (Kind::Exchange, hint);
        match self.code.as_str() {
            "Throttling" | "ThrottlingException" | "ThrottledException" | "RequestLimitExceeded"
            | "TooManyRequestsException" | "RequestThrottled" | "SlowDown" => (
                Kind::Transport,
                "The account asks STS too often: share one pgiam.Client per process instead of making many.".into(),
            ),
            "AccessDenied" | "AccessDeniedException" => refused(access_denied(shown)),
            "InvalidIdentityToken" if says("no openidconnect provider") => refused(format!(
                "Create an IAM OIDC identity provider for {} in account {}, with audience {}.",
                issuer_of(shown),
                account_of(shown),
                audience_of(shown)
            )),
            "InvalidIdentityToken" if says("audience") => refused(format!(
                "Add {} to the audiences of the IAM OIDC identity provider of {}, or ask the platform for an audience \
                 that is there.",
                audience_of(shown),
                issuer_of(shown)
            )),
            "InvalidIdentityToken" if says("verification key") => refused(format!(
                "AWS could not use the keys of {}: its discovery document and JWKS must be public, and hold the key \
                 that signed the token.",
                issuer_of(shown)
            )),
            "InvalidIdentityToken" => refused(
                "Pass an OIDC ID token that its issuer signed with RS256 or ES256, unchanged and for this account."
                    .into(),
            ),
            "ExpiredTokenException" | "ExpiredToken" if shown.claims.is_some() => refused(
                "Fetch a new identity token: a token from a variable ends with its job, one from a file is renewed by \
                 the platform. Check this machine's clock too."
                    .into(),
            ),
            "ExpiredTokenException" | "ExpiredToken" => {
                refused("The credentials that signed this request have expired: renew them at their source.".into())
            }
            "IDPRejectedClaim" => {
                refused(format!("{} has revoked the identity token, or its claims: sign in there again.", issuer_of(shown)))
            }
            "IDPCommunicationError" => refused(format!(
                "AWS could not reach {}: its discovery document must be public. pgiam tries again by itself.",
                issuer_of(shown)
            )),
            "MalformedPolicyDocument" => {
                refused("Correct policy= and policy_arns=: STS could not read the session policy.".into())
            }
            "PackedPolicyTooLarge" => {
                refused("Shorten policy=, policy_arns= and tags=: together they are over STS's packed limit.".into())
            }
            "RegionDisabledException" => refused(format!(
                "Activate {} for STS in the account settings of IAM, or pass region= with one that is.",
                shown.region
            )),
            "ValidationError" if says("maxsessionduration") => refused(
                "Pass a duration= that is no longer than the role's MaxSessionDuration, or raise that in IAM.".into(),
            ),
            "ValidationError" if says("role chaining") => refused(
                "Pass duration=3600 at most: a role assumed by a role's session lasts an hour, and pgiam renews it."
                    .into(),
            ),
            "InvalidClientTokenId" | "UnrecognizedClientException" => refused(
                "The access key does not exist (any more), or belongs to another AWS partition: renew the credentials."
                    .into(),
            ),
            "SignatureDoesNotMatch" | "InvalidSignatureException" | "RequestTimeTooSkewed" | "RequestExpired" => refused(
                "Check the secret key, and set this machine's clock by NTP: signatures are refused when it is off."
                    .into(),
            ),
            "IncompleteSignature" | "MissingAuthenticationToken" => {
                refused("Check that no proxy strips the Authorization header on the way to STS.".into())
            }
            _ if self.status >= 500 => (
                Kind::Transport,
                "AWS's side failed; pgiam tries again by itself.".into(),
            ),
            _ => refused("The code above is in the STS API reference, under the operation's errors.".into()),
        }
    }
}

fn access_denied(shown: Shown<'_>) -> String {
    let role = shown.role_arn.unwrap_or("the role");
    let Some(claims) = shown.claims else {
        let external = if shown.has_external_id {
            ", with this external_id in its condition"
        } else {
            ""
        };
        return format!(
            "The trust policy of {role} must name the caller{external}, and the caller's own policy must allow \
             sts:AssumeRole on it; a role that demands an external id needs external_id=."
        );
    };
    let provider = claims
        .provider()
        .map_or_else(|| "the issuer".to_owned(), shown_text);
    let subject = claims
        .subject
        .as_deref()
        .map_or_else(|| "none".to_owned(), shown_text);
    let audience = claims
        .trusted_audience()
        .map_or_else(|| "none".to_owned(), shown_text);
    // Google is built into IAM, which compares its `azp` as `:aud`.
    let principal = if provider == "accounts.google.com" {
        "Federated accounts.google.com".to_owned()
    } else {
        format!("Federated oidc-provider/{provider}")
    };
    format!(
        "The trust policy of {role} must allow sts:AssumeRoleWithWebIdentity to principal {principal} where \
         {provider}:sub is {subject} and {provider}:aud is {audience}."
    )
}

fn shown_text(text: &str) -> String {
    shown(text)
}

fn issuer_of(shown: Shown<'_>) -> String {
    let issuer = shown.claims.and_then(|claims| claims.issuer.as_deref());
    issuer.map_or_else(|| "the identity provider".to_owned(), shown_text)
}

fn audience_of(shown: Shown<'_>) -> String {
    let audience = shown.claims.and_then(Claims::trusted_audience);
    audience.map_or_else(|| "the token's audience".to_owned(), shown_text)
}

fn account_of(shown: Shown<'_>) -> &str {
    shown
        .role_arn
        .and_then(|arn| arn.split(':').nth(4))
        .unwrap_or("of the role")
}

/// Neither a control character nor one that turns the text around it.
fn is_plain(c: char) -> bool {
    matches!(c, '\'' | '"' | '\\') || c.escape_debug().len() == 1
}

#[cfg(test)]
mod tests;
