//! The AWS SDK's configuration: environment and profile files, read anew each time so that a rotated file
//! is seen.

use std::time::Duration;

use aws_config::environment::region::EnvironmentVariableRegionProvider;
use aws_config::meta::region::RegionProviderChain;
use aws_config::profile::ProfileFileRegionProvider;
use aws_config::{BehaviorVersion, ConfigLoader, SdkConfig};
use aws_smithy_types::timeout::TimeoutConfig;

use crate::error::Result;
use crate::http;

/// A service that accepts and never answers must not hold callers for longer than this.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(8);
const OPERATION_TIMEOUT: Duration = Duration::from_secs(25);

/// Endpoints, retries and the region as every AWS tool finds them.
pub async fn config(profile: Option<&str>) -> Result<SdkConfig> {
    let mut loader = loader()?;
    if let Some(name) = profile {
        loader = loader.profile_name(name);
    }
    Ok(loader.load().await)
}

/// As `config`, but no metadata service is asked for the region: most places where identity tokens are
/// exchanged have none.
pub async fn config_off_aws() -> Result<SdkConfig> {
    let region = RegionProviderChain::first_try(EnvironmentVariableRegionProvider::new())
        .or_else(ProfileFileRegionProvider::new());
    Ok(loader()?.region(region).load().await)
}

fn loader() -> Result<ConfigLoader> {
    let timeouts = TimeoutConfig::builder()
        .operation_attempt_timeout(ATTEMPT_TIMEOUT)
        .operation_timeout(OPERATION_TIMEOUT)
        .build();
    Ok(aws_config::defaults(BehaviorVersion::latest())
        .http_client(http::public()?)
        .timeout_config(timeouts)
        .no_credentials())
}
