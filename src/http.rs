//! HTTP clients for AWS, shared by everything in one process: rustls with ring, keep-alive.

use std::fs;

use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use aws_smithy_http_client::{Builder, Connector};
use aws_smithy_runtime_api::client::http::{SharedHttpClient, SharedHttpConnector};

use crate::error::{Error, Result, shown};
use crate::process::PerProcess;
use crate::surroundings;

static PUBLIC: PerProcess<SharedHttpClient> = PerProcess::new();
static LINK_LOCAL: PerProcess<SharedHttpClient> = PerProcess::new();
static PUBLIC_CALLS: PerProcess<SharedHttpConnector> = PerProcess::new();
static LINK_LOCAL_CALLS: PerProcess<SharedHttpConnector> = PerProcess::new();

/// For STS and SSO: takes `HTTPS_PROXY` and its kin, and `AWS_CA_BUNDLE`, from the environment.
pub fn public() -> Result<SharedHttpClient> {
    if let Some(made) = PUBLIC.get() {
        return Ok(made.clone());
    }
    // Not kept if it fails: the file may be there the next time.
    let context = tls_context(ca_bundle()?)?;
    Ok(PUBLIC
        .get_or_init(|| client(context, ProxyConfig::from_env))
        .clone())
}

/// For metadata services, which are on this machine or next to it: never through a proxy.
pub fn link_local() -> SharedHttpClient {
    LINK_LOCAL
        .get_or_init(|| client(TlsContext::default(), ProxyConfig::disabled))
        .clone()
}

/// As `public`, for one's own requests.
pub fn public_connector() -> Result<SharedHttpConnector> {
    if let Some(made) = PUBLIC_CALLS.get() {
        return Ok(made.clone());
    }
    let context = tls_context(ca_bundle()?)?;
    Ok(PUBLIC_CALLS
        .get_or_init(|| connector(context, ProxyConfig::from_env()))
        .clone())
}

/// As `link_local`, for one's own requests. Such services speak plain HTTP.
pub fn link_local_connector() -> SharedHttpConnector {
    LINK_LOCAL_CALLS
        .get_or_init(|| connector(TlsContext::default(), ProxyConfig::disabled()))
        .clone()
}

fn connector(context: TlsContext, proxy: ProxyConfig) -> SharedHttpConnector {
    let connector = Connector::builder().proxy_config(proxy);
    let connector = connector.tls_provider(Provider::Rustls(CryptoMode::Ring));
    SharedHttpConnector::new(connector.tls_context(context).build())
}

fn client(context: TlsContext, proxy: fn() -> ProxyConfig) -> SharedHttpClient {
    Builder::new().build_with_connector_fn(move |settings, components| {
        let mut builder = Connector::builder();
        builder.set_connector_settings(settings.cloned());
        builder.set_sleep_impl(components.and_then(|components| components.sleep_impl()));
        builder
            .proxy_config(proxy())
            .tls_provider(Provider::Rustls(CryptoMode::Ring))
            .tls_context(context.clone())
            .build()
    })
}

fn tls_context(bundle: Option<Vec<u8>>) -> Result<TlsContext> {
    let Some(pem) = bundle else {
        return Ok(TlsContext::default());
    };
    let store = TrustStore::empty().with_pem_certificate(pem);
    TlsContext::builder()
        .with_trust_store(store)
        .build()
        .map_err(|error| {
            Error::configuration(
                "AWS_CA_BUNDLE could not be used",
                "Point it to a PEM file of CA certificates.",
            )
            .with_cause(error)
        })
}

fn ca_bundle() -> Result<Option<Vec<u8>>> {
    let Some(path) = surroundings::variable("AWS_CA_BUNDLE").filter(|path| !path.is_empty()) else {
        return Ok(None);
    };
    match fs::read(&path) {
        Ok(pem) if pem.windows(27).any(|part| part == b"-----BEGIN CERTIFICATE-----") => Ok(Some(pem)),
        Ok(_) => Err(Error::configuration(
            format!(
                "AWS_CA_BUNDLE={} holds no certificate",
                shown(&path.to_string_lossy())
            ),
            "Point it to a PEM file of CA certificates, or unset it.",
        )),
        Err(error) => Err(Error::configuration(
            format!(
                "AWS_CA_BUNDLE={} cannot be read: {error}",
                shown(&path.to_string_lossy())
            ),
            "Point it to a PEM file of CA certificates, or unset it.",
        )),
    }
}
