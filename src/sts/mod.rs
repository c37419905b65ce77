//! AWS STS: an identity token or other credentials in, credentials of a role out.

mod clock;
mod refusal;
pub mod request;

use std::error::Error as StdError;

use aws_config::SdkConfig;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_sts::config::Region;
use aws_sdk_sts::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_sts::operation::RequestId;
use aws_sdk_sts::types::{PolicyDescriptorType, Tag};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_types::error::display::DisplayErrorContext;

use crate::clock::{ClockOffset, Time};
use crate::credentials::Credentials;
use crate::error::{Error, Result};
use crate::identity_token::{Claims, IdentityToken};
use crate::partition;
use crate::sdk;
use crate::secret::Secret;
use crate::surroundings::Here;
use clock::DateOfAnswer;
use refusal::{Answered, Shown};
use request::{AssumeOptions, RoleRequest};

const DEFAULT_REGION: &str = "us-east-1";

/// Who STS says the credentials belong to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    pub arn: String,
    pub account: String,
    pub user_id: String,
}

/// STS in one region.
struct Service {
    client: aws_sdk_sts::Client,
    region: String,
    /// The region that the environment or the profile names, for credentials to carry on.
    configured_region: Option<String>,
}

impl Service {
    async fn new(
        wanted: Option<&str>,
        home: &'static str,
        credentials: Option<&Credentials>,
    ) -> Result<Service> {
        let sdk = sdk::config(None).await?;
        let configured_region = sdk.region().map(ToString::to_string);
        let region = match (wanted, &configured_region) {
            (Some(region), _) => region.to_ascii_lowercase(),
            // Another partition's STS does not know the role's account.
            (None, Some(region)) if partition::of_region(region) == partition::of_region(home) => {
                region.clone()
            }
            (None, _) => home.to_owned(),
        };
        Ok(Service {
            client: client(&sdk, &region, credentials),
            region,
            configured_region,
        })
    }

    fn issued(
        &self,
        issued: Option<&aws_sdk_sts::types::Credentials>,
        role_arn: &str,
        source: &str,
        date: &DateOfAnswer,
    ) -> Result<Credentials> {
        let Some(issued) = issued else {
            return Err(self.not_sts("an answer without credentials"));
        };
        let millis = issued.expiration().to_millis();
        Credentials {
            access_key: issued.access_key_id().to_owned(),
            secret_key: Secret::from(issued.secret_access_key()),
            session_token: Some(Secret::from(issued.session_token())),
            expires_at: Some(Time::from_millis(
                millis.map_err(|_| self.not_sts("an expiry out of range"))?,
            )),
            account_id: role_arn.split(':').nth(4).map(str::to_owned),
            source: source.to_owned(),
            region: self.configured_region.clone(),
            clock_offset: date.offset(),
        }
        .check()
    }

    fn not_sts(&self, what: &str) -> Error {
        Error::transport(
            format!("STS in {} gave {what}", self.region),
            "Something between here and STS answers in its place: check AWS_ENDPOINT_URL_STS and the proxies.",
        )
    }

    fn failed<E>(&self, error: SdkError<E, HttpResponse>, shown: &Shown<'_>) -> Error
    where
        E: StdError + ProvideErrorMetadata + Send + Sync + 'static,
    {
        let unreachable = |problem: String| {
            Error::transport(
                format!("STS in {} could not be asked: {problem}", self.region),
                "Check this machine's way to STS: network, HTTPS_PROXY, AWS_ENDPOINT_URL_STS, AWS_CA_BUNDLE.",
            )
        };
        match &error {
            SdkError::ServiceError(context) => {
                let status = context.raw().status().as_u16();
                let Some(code) = error.code() else {
                    return self.not_sts(&format!("an answer that is none of STS's (HTTP {status})"));
                };
                let answered = Answered {
                    code: code.to_owned(),
                    message: error.message().unwrap_or_default().to_owned(),
                    status,
                    request_id: error.request_id().map(str::to_owned),
                };
                answered.into_error(*shown)
            }
            SdkError::TimeoutError(_) => unreachable("no answer in time".to_owned()),
            SdkError::DispatchFailure(failure) => {
                let cause = failure.as_connector_error().map(|error| innermost(error));
                unreachable(cause.unwrap_or_else(|| "no connection".to_owned()))
            }
            SdkError::ResponseError(_) => self.not_sts("an answer that is none of STS's"),
            _ => Error::configuration(
                format!("no request to STS could be made: {}", DisplayErrorContext(&error)),
                "Check region=, AWS_ENDPOINT_URL_STS and the AWS configuration file.",
            ),
        }
    }
}

fn client(sdk: &SdkConfig, region: &str, credentials: Option<&Credentials>) -> aws_sdk_sts::Client {
    let mut builder = aws_sdk_sts::config::Builder::from(sdk).region(Region::new(region.to_owned()));
    match credentials {
        Some(credentials) => {
            let keys = aws_credential_types::Credentials::new(
                &credentials.access_key,
                credentials.secret_key.reveal(),
                credentials
                    .session_token
                    .as_ref()
                    .map(|token| token.reveal().to_owned()),
                None,
                "pgiam",
            );
            builder = builder.credentials_provider(SharedCredentialsProvider::new(keys));
        }
        None => builder = builder.allow_no_auth(),
    }
    aws_sdk_sts::Client::from_conf(builder.build())
}

fn innermost(error: &(dyn StdError + 'static)) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

pub async fn assume_role_with_web_identity(
    request: &RoleRequest,
    token: &IdentityToken,
    source: &str,
) -> Result<Credentials> {
    let service = Service::new(request.region.as_deref(), request.home_region(), None).await?;
    let date = DateOfAnswer::default();
    let call = service
        .client
        .assume_role_with_web_identity()
        .role_arn(&request.role_arn)
        .role_session_name(request.session_name(Some(&token.claims), &Here))
        .web_identity_token(token.reveal())
        .set_duration_seconds(request.duration.map(|seconds| seconds as i32))
        .set_policy(request.policy.clone())
        .set_policy_arns(policy_arns(request));
    match call.customize().interceptor(date.clone()).send().await {
        Ok(answer) => service.issued(answer.credentials(), &request.role_arn, source, &date),
        Err(error) => Err(service.failed(
            error,
            &shown(
                "AssumeRoleWithWebIdentity",
                request,
                Some(&token.claims),
                &service,
            ),
        )),
    }
}

pub async fn assume_role(
    request: &RoleRequest,
    options: &AssumeOptions,
    base: &Credentials,
    source: &str,
) -> Result<Credentials> {
    let service = Service::new(request.region.as_deref(), request.home_region(), Some(base)).await?;
    let date = DateOfAnswer::default();
    let tags = options.tags.iter().map(|(key, value)| {
        let tag = Tag::builder().key(key).value(value).build();
        tag.map_err(|error| Error::configuration(error.to_string(), "Pass tags as name and value."))
    });
    let tags: Vec<Tag> = tags.collect::<Result<_>>()?;
    let call = service
        .client
        .assume_role()
        .role_arn(&request.role_arn)
        .role_session_name(request.session_name(None, &Here))
        .set_duration_seconds(request.duration.map(|seconds| seconds as i32))
        .set_policy(request.policy.clone())
        .set_policy_arns(policy_arns(request))
        .set_external_id(options.external_id.clone())
        .set_source_identity(options.source_identity.clone())
        .set_tags((!tags.is_empty()).then_some(tags));
    match call.customize().interceptor(date.clone()).send().await {
        Ok(answer) => service.issued(answer.credentials(), &request.role_arn, source, &date),
        Err(error) => {
            let shown = Shown {
                has_external_id: options.external_id.is_some(),
                ..shown("AssumeRole", request, None, &service)
            };
            Err(service.failed(error, &shown))
        }
    }
}

pub async fn caller_identity(credentials: &Credentials) -> Result<Identity> {
    caller_identity_and_clock(credentials).await.0
}

/// As `caller_identity`, and how far this machine's clock is off, if anything answered.
pub async fn caller_identity_and_clock(credentials: &Credentials) -> (Result<Identity>, Option<ClockOffset>) {
    let date = DateOfAnswer::default();
    let identity = asked_identity(credentials, &date).await;
    (identity, date.measured())
}

async fn asked_identity(credentials: &Credentials, date: &DateOfAnswer) -> Result<Identity> {
    let service = Service::new(None, DEFAULT_REGION, Some(credentials)).await?;
    let call = service.client.get_caller_identity().customize();
    match call.interceptor(date.clone()).send().await {
        Ok(answer) => match (answer.arn(), answer.account(), answer.user_id()) {
            (Some(arn), Some(account), Some(user_id)) => Ok(Identity {
                arn: arn.to_owned(),
                account: account.to_owned(),
                user_id: user_id.to_owned(),
            }),
            _ => Err(service.not_sts("an answer without an identity")),
        },
        Err(error) => {
            let shown = Shown {
                operation: "GetCallerIdentity",
                role_arn: None,
                claims: None,
                region: &service.region,
                has_external_id: false,
            };
            Err(service.failed(error, &shown))
        }
    }
}

fn shown<'a>(
    operation: &'static str,
    request: &'a RoleRequest,
    claims: Option<&'a Claims>,
    service: &'a Service,
) -> Shown<'a> {
    Shown {
        operation,
        role_arn: Some(&request.role_arn),
        claims,
        region: &service.region,
        has_external_id: false,
    }
}

fn policy_arns(request: &RoleRequest) -> Option<Vec<PolicyDescriptorType>> {
    let described = |arn: &String| PolicyDescriptorType::builder().arn(arn).build();
    let arns: Vec<_> = request.policy_arns.iter().map(described).collect();
    (!arns.is_empty()).then_some(arns)
}

/// True if a newer identity token could change the answer.
pub fn is_expired_token(error: &Error) -> bool {
    let code = error.refusal.as_ref().map(|refusal| refusal.code.as_str());
    matches!(code, Some("ExpiredTokenException" | "ExpiredToken"))
}
