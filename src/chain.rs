//! AWS's own sources, from `aws-config`: the default chain, or one named profile.
//!
//! The chain is walked here and not by `DefaultCredentialsChain`, for two reasons: every source that was
//! looked at is kept for the error message, and once a source has answered the others are never asked
//! again, so that a throttled or broken source cannot turn into another identity (as in
//! datafusion-comet#6025).

mod foresight;

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use aws_config::ecs::EcsCredentialsProvider;
use aws_config::environment::credentials::EnvironmentVariableCredentialsProvider;
use aws_config::imds::credentials::ImdsCredentialsProvider;
use aws_config::imds::region::ImdsRegionProvider;
use aws_config::profile::ProfileFileCredentialsProvider;
use aws_config::provider_config::ProviderConfig;
use aws_credential_types::provider::ProvideCredentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_smithy_types::error::display::DisplayErrorContext;

use crate::clock::{ClockOffset, Time};
use crate::credentials::{Caller, Credentials, Failure, Fetch, Finding, Source, State};
use crate::error::{Attempt, Error, Result, shown};
use crate::http;
use crate::oidc::{self, WebIdentityFile};
use crate::sdk;
use crate::secret::Secret;
use crate::sts::request::RoleRequest;
use crate::surroundings::{self, Here, Surroundings};
use crate::web_identity::WebIdentity;

/// In the order of the AWS SDKs.
const LINKS: [Link; 5] = [
    Link::Environment,
    Link::Profile,
    Link::WebIdentityFile,
    Link::Container,
    Link::InstanceMetadata,
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Link {
    Environment,
    Profile,
    WebIdentityFile,
    Container,
    InstanceMetadata,
}

impl Link {
    fn name(self) -> &'static str {
        match self {
            Link::Environment => "environment",
            Link::Profile => "profile",
            Link::WebIdentityFile => "web identity file",
            Link::Container => "container credentials (ECS, EKS Pod Identity)",
            Link::InstanceMetadata => "instance metadata (EC2)",
        }
    }

    async fn provide(
        self,
        config: &ProviderConfig,
        profile: Option<&str>,
        region: Option<&str>,
    ) -> Result<Credentials, Unanswered> {
        let mut region_of_machine = None;
        let provided = match self {
            Link::Environment => {
                EnvironmentVariableCredentialsProvider::new()
                    .provide_credentials()
                    .await
            }
            Link::Profile => {
                let mut builder = ProfileFileCredentialsProvider::builder().configure(config);
                if let Some(name) = profile {
                    builder = builder.profile_name(name);
                }
                builder.build().provide_credentials().await
            }
            Link::WebIdentityFile => return web_identity_file().await,
            Link::Container => {
                let config = config.clone().with_http_client(http::link_local());
                let builder = EcsCredentialsProvider::builder().configure(&config);
                builder.build().provide_credentials().await
            }
            Link::InstanceMetadata => {
                let config = config.clone().with_http_client(http::link_local());
                let builder = ImdsCredentialsProvider::builder().configure(&config);
                let provided = builder.build().provide_credentials().await;
                if provided.is_ok() && region.is_none() {
                    // Only here is that service known to be near.
                    let region = ImdsRegionProvider::builder().configure(&config).build();
                    region_of_machine = region.region().await.map(|region| region.to_string());
                }
                provided
            }
        };
        match provided {
            Ok(found) => {
                let region = region.map(str::to_owned).or(region_of_machine);
                Ok(converted(found, self.name(), region))
            }
            Err(error @ CredentialsError::CredentialsNotLoaded(_)) => {
                Err(Unanswered::Absent(outcome(&error)))
            }
            Err(error) => Err(Unanswered::Failed(failure(self, outcome(&error)))),
        }
    }
}

const ROLE_ARN: &str = "AWS_ROLE_ARN";

/// Absent is not broken.
enum Unanswered {
    Absent(String),
    Failed(Error),
}

/// IRSA and its like. Not the SDK's provider: this one says which claims were refused, and takes a file that
/// has been renewed in the meantime.
async fn web_identity_file() -> Result<Credentials, Unanswered> {
    if !Here.is_set(oidc::TOKEN_FILE) {
        return Err(Unanswered::Absent(format!("{} is not set", oidc::TOKEN_FILE)));
    }
    let Some(role_arn) = Here.variable(ROLE_ARN) else {
        return Err(Unanswered::Failed(Error::configuration(
            format!("{} is set and {ROLE_ARN} is not", oidc::TOKEN_FILE),
            "Set both: EKS does when the service account is annotated with eks.amazonaws.com/role-arn.",
        )));
    };
    let source = RoleRequest::new(role_arn)
        .and_then(|request| WebIdentity::new(request, Arc::new(oidc::From(WebIdentityFile::new(None)))))
        .map_err(Unanswered::Failed)?;
    match source.fetch(Caller::Thread).await {
        Ok(credentials) => Ok(credentials),
        Err(Failure::Failed(error)) => Err(Unanswered::Failed(error)),
        Err(Failure::Abandoned) => Err(Unanswered::Failed(Error::transport(
            "the exchange of the identity token was broken off",
            "pgiam tries again at the next use.",
        ))),
    }
}

/// The default chain.
pub struct Chain {
    /// Index into `LINKS` of the source that answered, plus one.
    taken: Arc<AtomicU8>,
}

impl Chain {
    pub fn new() -> Self {
        Self {
            taken: Arc::new(AtomicU8::new(0)),
        }
    }
}

impl Default for Chain {
    fn default() -> Self {
        Self::new()
    }
}

impl Source for Chain {
    fn at_hand(&self) -> Option<Result<Credentials>> {
        if self.taken.load(Ordering::Acquire) > 1 {
            return None;
        }
        let found = from_environment()?;
        self.taken.store(1, Ordering::Release);
        Some(Ok(found))
    }

    fn fetch(&self, _: Caller) -> Fetch {
        let taken = Arc::clone(&self.taken);
        Box::pin(async move { walk(&taken).await.map_err(Failure::from) })
    }

    fn explain(&self) -> Vec<Finding> {
        self.explain_in(&Here)
    }
}

/// One profile of `~/.aws/config` and `~/.aws/credentials`: keys, SSO, credential_process, assumed roles.
pub struct Profile {
    pub name: String,
}

impl Source for Profile {
    fn fetch(&self, _: Caller) -> Fetch {
        let name = self.name.clone();
        Box::pin(async move {
            let (config, region) = configuration(Some(&name)).await?;
            match Link::Profile
                .provide(&config, Some(&name), region.as_deref())
                .await
            {
                Ok(found) => Ok(Credentials {
                    source: format!("profile {}", shown(&name)),
                    ..found
                }),
                Err(Unanswered::Absent(reason)) => Err(failure(Link::Profile, reason).into()),
                Err(Unanswered::Failed(error)) => Err(error.into()),
            }
        })
    }

    fn explain(&self) -> Vec<Finding> {
        vec![Finding::new(
            format!("profile {}", shown(&self.name)),
            State::Taken,
            "given to the client",
        )]
    }
}

async fn walk(taken: &AtomicU8) -> Result<Credentials> {
    let (config, region) = configuration(None).await?;
    let only = taken.load(Ordering::Acquire);
    let mut attempts = Vec::new();
    for (index, link) in (1u8..).zip(LINKS) {
        if only != 0 && only != index {
            continue;
        }
        match link.provide(&config, None, region.as_deref()).await {
            Ok(found) => {
                taken.store(index, Ordering::Release);
                return Ok(found);
            }
            Err(Unanswered::Absent(outcome)) => attempts.push(Attempt {
                source: link.name().into(),
                outcome,
            }),
            Err(Unanswered::Failed(mut error)) => {
                if error.attempts.is_empty() {
                    let outcome = error.message.clone();
                    error.attempts.push(Attempt {
                        source: link.name().into(),
                        outcome,
                    });
                }
                error.attempts.splice(0..0, attempts);
                return Err(error);
            }
        }
    }
    let looked_at: Vec<&str> = attempts.iter().map(|attempt| attempt.source.as_str()).collect();
    Err(Error::credentials(
        format!("no AWS credentials: looked at {}", looked_at.join(", ")),
        if only == 0 {
            "Set AWS_PROFILE or AWS_ACCESS_KEY_ID, give this machine a role, or pass a source to pgiam.Client."
        } else {
            "The source that answered before is gone; pgiam does not change to another identity by itself."
        },
    )
    .with_attempts(attempts))
}

fn failure(link: Link, reason: String) -> Error {
    let message = format!("{} gave no credentials: {reason}", link.name());
    let hint = match link {
        Link::Environment => "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, both, or neither.",
        Link::Profile => "Check the profile in ~/.aws/config; for SSO run `aws sso login` once more.",
        Link::WebIdentityFile => {
            "Check AWS_WEB_IDENTITY_TOKEN_FILE, AWS_ROLE_ARN and the role's trust policy."
        }
        Link::Container => "Check the task role, or the Pod Identity association of the service account.",
        Link::InstanceMetadata => {
            "Check the instance's role; in containers the hop limit of IMDSv2 must be 2."
        }
    };
    let attempt = Attempt {
        source: link.name().into(),
        outcome: reason,
    };
    Error::credentials(message, hint).with_attempts(vec![attempt])
}

/// The SDK's own words, down to the cause.
fn outcome(error: &CredentialsError) -> String {
    let whole = DisplayErrorContext(error).to_string();
    // DisplayErrorContext closes with a Debug form of the same error, which says nothing more to a reader.
    match whole.rfind(" (") {
        Some(end) if whole.ends_with(')') => whole[..end].to_owned(),
        _ => whole,
    }
}

async fn configuration(profile: Option<&str>) -> Result<(ProviderConfig, Option<String>)> {
    let sdk = sdk::config(profile).await?;
    let mut config = ProviderConfig::without_region()
        .with_region(sdk.region().cloned())
        .with_http_client(http::public()?)
        .with_use_fips(sdk.use_fips())
        .with_use_dual_stack(sdk.use_dual_stack());
    if let Some(timeouts) = sdk.timeout_config() {
        config = config.with_timeout_config(timeouts.clone());
    }
    if let Some(retries) = sdk.retry_config() {
        config = config.with_retry_config(retries.clone());
    }
    Ok((config, sdk.region().map(ToString::to_string)))
}

fn converted(found: aws_credential_types::Credentials, source: &str, region: Option<String>) -> Credentials {
    Credentials {
        access_key: found.access_key_id().to_owned(),
        secret_key: Secret::from(found.secret_access_key()),
        session_token: found.session_token().map(Secret::from),
        expires_at: found.expiry().map(Time::from_system),
        account_id: found.account_id().map(|account| account.as_str().to_owned()),
        source: source.to_owned(),
        region,
        clock_offset: ClockOffset::NONE,
    }
}

/// What `EnvironmentVariableCredentialsProvider` reads, without a runtime: this is the path of Lambda and
/// of most containers' first token.
fn from_environment() -> Option<Credentials> {
    let set = |name: &str| {
        let value = surroundings::text_of(name)?.trim().to_owned();
        (!value.is_empty()).then_some(value)
    };
    Some(Credentials {
        access_key: set("AWS_ACCESS_KEY_ID")?,
        secret_key: Secret::from(set("AWS_SECRET_ACCESS_KEY")?),
        session_token: set("AWS_SESSION_TOKEN").map(Secret::from),
        expires_at: None,
        account_id: set("AWS_ACCOUNT_ID"),
        source: Link::Environment.name().to_owned(),
        region: None,
        clock_offset: ClockOffset::NONE,
    })
}
