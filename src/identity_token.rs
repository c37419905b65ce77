//! The OIDC token that says who the workload is. Its claims are read here and verified by STS alone.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use zeroize::Zeroizing;

use crate::clock::Time;
use crate::credentials::{Caller, Failure};
use crate::error::{Error, Kind, Result, shown};
use crate::json::Object;
use crate::secret::Secret;

/// STS, AssumeRoleWithWebIdentity: WebIdentityToken has 4 to 20000 characters.
const MAX_LENGTH: usize = 20_000;

#[derive(Clone, Debug)]
pub struct IdentityToken {
    value: Secret,
    pub claims: Claims,
}

/// What trust policies compare, and what says where a token comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Claims {
    pub issuer: Option<String>,
    pub subject: Option<String>,
    pub audience: Vec<String>,
    /// `azp`: where a token has it, IAM's `:aud` means this one (Google).
    pub authorized_party: Option<String>,
    pub expires_at: Option<Time>,
    /// The project, repository or pod, by the platform's own name for it.
    pub workload: Option<String>,
}

impl IdentityToken {
    /// `source` says in an error where the text came from; the text itself never appears.
    pub fn parse(text: impl Into<Secret>, source: &str) -> Result<Self> {
        let text: Secret = text.into();
        let token = text.reveal().trim();
        let problem = if token.is_empty() {
            "is empty"
        } else if token.len() > MAX_LENGTH {
            "is longer than the 20000 characters that STS takes"
        } else {
            match claims_of(token) {
                Some(claims) => {
                    return Ok(Self {
                        value: Secret::from(token),
                        claims,
                    });
                }
                None => "is not a JWT (three parts with dots between them, the second of them claims)",
            }
        };
        Err(Error::new(
            Kind::IdentityToken,
            format!("the identity token from {source} {problem}"),
            "Pass the OIDC ID token as the platform issued it, not an access key or an opaque token.",
        ))
    }

    pub fn reveal(&self) -> &str {
        self.value.reveal()
    }

    pub fn is_same_as(&self, other: &IdentityToken) -> bool {
        self.value == other.value
    }

    /// A token that does not say when it ends counts as ended.
    pub fn is_alive(&self, now: Time) -> bool {
        self.claims.expires_at.is_some_and(|end| now < end)
    }
}

impl Claims {
    /// What the trust policy's `:aud` condition sees.
    pub fn trusted_audience(&self) -> Option<&str> {
        self.authorized_party
            .as_deref()
            .or_else(|| self.audience.first().map(String::as_str))
    }

    /// The issuer as condition keys and provider ARNs write it.
    pub fn provider(&self) -> Option<&str> {
        let issuer = self.issuer.as_deref()?;
        Some(
            issuer
                .strip_prefix("https://")
                .unwrap_or(issuer)
                .trim_end_matches('/'),
        )
    }

    /// Name and value of each claim that must match, for `.claims` of an error.
    pub fn presented(&self) -> Vec<(String, String)> {
        let mut found = Vec::new();
        let mut add = |name: &str, value: &str| found.push((name.to_owned(), value.to_owned()));
        if let Some(issuer) = &self.issuer {
            add("iss", issuer);
        }
        if let Some(subject) = &self.subject {
            add("sub", subject);
        }
        for audience in &self.audience {
            add("aud", audience);
        }
        if let Some(party) = &self.authorized_party {
            add("azp", party);
        }
        if let Some(end) = self.expires_at {
            add("exp", &end.to_string());
        }
        found
    }
}

impl fmt::Display for Claims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let or_none = |value: Option<&str>| value.map_or_else(|| "none".to_owned(), shown);
        write!(
            f,
            "issuer {}, subject {}, audience {}",
            or_none(self.issuer.as_deref()),
            or_none(self.subject.as_deref()),
            or_none(self.trusted_audience())
        )
    }
}

fn claims_of(token: &str) -> Option<Claims> {
    let mut parts = token.split('.');
    let (header, payload, signature) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some()
        || [header, payload, signature]
            .iter()
            .any(|part| !is_base64url(part))
    {
        return None;
    }
    let payload = Object::parse(&decoded(payload)?)?;
    let text = |name| payload.text(name).map(str::to_owned);
    let pod = payload
        .object("kubernetes.io")
        .and_then(|kubernetes| kubernetes.object("pod"))
        .and_then(|pod| pod.text("name").map(str::to_owned));
    let named = [
        "repository",               // GitHub
        "project_path",             // GitLab
        "project",                  // Vercel
        "app_name",                 // Fly
        "pipeline_slug",            // Buildkite
        "terraform_workspace_name", // HCP Terraform
    ];
    Some(Claims {
        issuer: text("iss"),
        subject: text("sub"),
        audience: payload.texts("aud"),
        authorized_party: text("azp"),
        expires_at: payload.seconds("exp").map(Time::from_secs),
        workload: pod.or_else(|| named.iter().find_map(|name| text(name))),
    })
}

fn is_base64url(part: &str) -> bool {
    !part.is_empty()
        && part
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
}

/// Base64 of RFC 7515: the URL's alphabet, and no padding.
fn decoded(part: &str) -> Option<Zeroizing<Vec<u8>>> {
    let mut standard: String = part
        .chars()
        .map(|c| match c {
            '-' => '+',
            '_' => '/',
            other => other,
        })
        .collect();
    while !standard.len().is_multiple_of(4) {
        standard.push('=');
    }
    aws_smithy_types::base64::decode(standard)
        .ok()
        .map(Zeroizing::new)
}

pub type TokenFetch = Pin<Box<dyn Future<Output = Result<IdentityToken, Failure>> + Send>>;

/// One caller's way to identity tokens: it may be asked twice, should the first token turn out to be old.
pub trait Asking: Send + Sync {
    fn ask(&self) -> TokenFetch;
}

/// Where identity tokens come from.
pub trait IdentitySource: Send + Sync + 'static {
    fn name(&self) -> String;

    /// Called on the thread of the caller who needs a token, so that a source can keep what belongs to
    /// that caller (Vercel's token is in the request's context).
    fn begin(&self, caller: Caller) -> Arc<dyn Asking>;
}

/// For a source that needs nothing of its caller.
pub struct AskAnywhere<F>(pub F);

impl<F: Fn() -> TokenFetch + Send + Sync> Asking for AskAnywhere<F> {
    fn ask(&self) -> TokenFetch {
        (self.0)()
    }
}

/// A token given by hand.
pub struct Given(pub IdentityToken);

impl IdentitySource for Given {
    fn name(&self) -> String {
        "the given identity token".to_owned()
    }

    fn begin(&self, _: Caller) -> Arc<dyn Asking> {
        let token = self.0.clone();
        Arc::new(AskAnywhere(move || -> TokenFetch {
            Box::pin(std::future::ready(Ok(token.clone())))
        }))
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// A token whose signature nobody has made.
    pub fn unsigned(claims: &str) -> String {
        let part = |text: &str| {
            let encoded = aws_smithy_types::base64::encode(text);
            encoded.trim_end_matches('=').replace('+', "-").replace('/', "_")
        };
        format!("{}.{}.c2lnbmF0dXJl", part(r#"{"alg":"RS256"}"#), part(claims))
    }

    #[test]
    fn claims_are_read() {
        let text = unsigned(
            r#"{"iss":"https://oidc.example/acme/","sub":"a?b>c~é","aud":["x","y"],"azp":"z","exp":1767323045,
                "project":"shop"}"#,
        );
        let token = IdentityToken::parse(format!(" {text}\n"), "a test").unwrap();
        assert_eq!(token.reveal(), text);
        assert_eq!(token.claims.provider(), Some("oidc.example/acme"));
        assert_eq!(token.claims.trusted_audience(), Some("z"));
        assert_eq!(token.claims.workload.as_deref(), Some("shop"));
        assert_eq!(
            token.claims.to_string(),
            "issuer https://oidc.example/acme/, subject a?b>c~é, audience z"
        );
        assert!(token.is_alive(Time::from_secs(1_767_323_044)));
        assert!(!token.is_alive(Time::from_secs(1_767_323_045)));
        assert!(!format!("{token:?}").contains(&text[20..40]));
        let pod = unsigned(r#"{"kubernetes.io":{"pod":{"name":"shop-1"}}}"#);
        let pod = IdentityToken::parse(pod, "a test").unwrap();
        assert_eq!(pod.claims.workload.as_deref(), Some("shop-1"));
        assert!(!pod.is_alive(Time::from_secs(0)));
        assert_eq!(pod.claims.to_string(), "issuer none, subject none, audience none");
    }

    #[test]
    fn what_is_no_jwt_is_refused_and_not_shown() {
        let long = format!("a.{}.c", "b".repeat(MAX_LENGTH));
        let encrypted = format!("{}.b.c", unsigned("{}"));
        for text in [
            "",
            " \n",
            "opaque-secret",
            "a.b",
            "a.b.c",
            "..",
            "a.e30.",
            &long,
            &encrypted,
        ] {
            let error = IdentityToken::parse(text, "a test").unwrap_err();
            assert_eq!(error.kind, Kind::IdentityToken, "{text:.20}");
            assert!(!error.message.contains("secret"), "{}", error.message);
        }
    }
}
