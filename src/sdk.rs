//! The AWS SDK's configuration: environment and profile files, read anew each time so that a rotated file
//! is seen.

use std::time::Duration;

use aws_config::environment::region::EnvironmentVariableRegionProvider;
use aws_config::meta::region::RegionProviderChain;
use aws_config::profile::ProfileFileRegionProvider;
use aws_config::{BehaviorVersion, SdkConfig};
use aws_credential_types::provider::error::TokenError;
use aws_credential_types::provider::future::ProvideToken as ProvideTokenFuture;
use aws_credential_types::provider::token::ProvideToken;
use aws_smithy_types::timeout::TimeoutConfig;

use crate::error::Result;
use crate::http;

/// A service that accepts and never answers must not hold callers for longer than this.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(8);
const OPERATION_TIMEOUT: Duration = Duration::from_secs(25);

/// Endpoints, retries and the region. No metadata service is asked for the region, as boto3 asks none: off
/// AWS that takes seconds, and on AWS a region is set wherever one is needed.
pub async fn config(profile: Option<&str>) -> Result<SdkConfig> {
    let timeouts = TimeoutConfig::builder()
        .operation_attempt_timeout(ATTEMPT_TIMEOUT)
        .operation_timeout(OPERATION_TIMEOUT)
        .build();
    let mut region_of_profile = ProfileFileRegionProvider::builder();
    if let Some(name) = profile {
        region_of_profile = region_of_profile.profile_name(name);
    }
    let region = RegionProviderChain::first_try(EnvironmentVariableRegionProvider::new())
        .or_else(region_of_profile.build());
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .http_client(http::public()?)
        .timeout_config(timeouts)
        .region(region)
        .no_credentials()
        .token_provider(NoToken);
    if let Some(name) = profile {
        loader = loader.profile_name(name);
    }
    Ok(loader.load().await)
}

/// The SDK's own would ask the metadata service for a region, whatever region is given here. STS takes no
/// bearer tokens.
#[derive(Debug)]
struct NoToken;

impl ProvideToken for NoToken {
    fn provide_token<'a>(&'a self) -> ProvideTokenFuture<'a>
    where
        Self: 'a,
    {
        ProvideTokenFuture::ready(Err(TokenError::not_loaded("no bearer tokens here")))
    }
}
