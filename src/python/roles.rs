//! `pgiam.WebIdentity`, `pgiam.AssumeRole` and the raw exchange.

use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

use crate::assume_role;
use crate::credentials::Source;
use crate::error::Result;
use crate::identity_token::IdentityToken;
use crate::python::blocking::blocked;
use crate::python::client::Client;
use crate::python::convert::{raised, text, whole_number, wrong_type};
use crate::python::event_loop::{self, Converted};
use crate::python::types::{Credentials, not_picklable};
use crate::python::{oidc, source};
use crate::refreshing::Refreshing;
use crate::sts::request::{AssumeOptions, RoleRequest};
use crate::web_identity;

type Any<'py> = Option<&'py Bound<'py, PyAny>>;

/// An identity token, exchanged at STS for the credentials of a role.
#[pyclass(frozen, module = "pgiam")]
pub struct WebIdentity {
    pub source: Arc<dyn Source>,
    role_arn: String,
}

#[pymethods]
impl WebIdentity {
    #[new]
    #[pyo3(signature = (*, role_arn, identity_token, session_name=None, duration=None, policy=None, policy_arns=None, region=None))]
    #[allow(clippy::too_many_arguments)]
    fn new(
        role_arn: &Bound<'_, PyAny>,
        identity_token: &Bound<'_, PyAny>,
        session_name: Any<'_>,
        duration: Any<'_>,
        policy: Any<'_>,
        policy_arns: Any<'_>,
        region: Any<'_>,
    ) -> PyResult<Self> {
        let build = || {
            let request = role_request(role_arn, session_name, duration, policy, policy_arns, region)?;
            let role_arn = request.role_arn.clone();
            let identity = oidc::source_from_python(identity_token)?;
            let source = Arc::new(web_identity::WebIdentity::new(request, identity)?);
            Ok(Self { source, role_arn })
        };
        build().map_err(raised)
    }

    #[getter]
    fn role_arn(&self) -> &str {
        &self.role_arn
    }

    fn __repr__(&self) -> String {
        format!("<pgiam.WebIdentity {}>", self.role_arn)
    }

    fn __reduce__(&self) -> PyResult<()> {
        Err(not_picklable("WebIdentity"))
    }
}

/// A role, assumed with the credentials of any other source.
#[pyclass(frozen, module = "pgiam")]
pub struct AssumeRole {
    pub source: Arc<dyn Source>,
    role_arn: String,
}

#[pymethods]
impl AssumeRole {
    #[new]
    #[pyo3(signature = (*, role_arn, source=None, external_id=None, session_name=None, duration=None, tags=None, source_identity=None, policy=None, policy_arns=None, region=None))]
    #[allow(clippy::too_many_arguments)]
    fn new(
        role_arn: &Bound<'_, PyAny>,
        source: Any<'_>,
        external_id: Any<'_>,
        session_name: Any<'_>,
        duration: Any<'_>,
        tags: Any<'_>,
        source_identity: Any<'_>,
        policy: Any<'_>,
        policy_arns: Any<'_>,
        region: Any<'_>,
    ) -> PyResult<Self> {
        let build = || {
            let request = role_request(role_arn, session_name, duration, policy, policy_arns, region)?;
            let role_arn = request.role_arn.clone();
            let options = AssumeOptions {
                external_id: owned(external_id, "external_id")?,
                tags: tags_of(tags)?,
                source_identity: owned(source_identity, "source_identity")?,
            };
            let base = match source.and_then(|source| source.cast::<Client>().ok()) {
                Some(client) => client.get().refreshing(),
                None => Refreshing::new(source::from_python(source)?, Arc::new(source::Logger)),
            };
            let source = Arc::new(assume_role::AssumeRole::new(request, options, base)?);
            Ok(Self { source, role_arn })
        };
        build().map_err(raised)
    }

    #[getter]
    fn role_arn(&self) -> &str {
        &self.role_arn
    }

    fn __repr__(&self) -> String {
        format!("<pgiam.AssumeRole {}>", self.role_arn)
    }

    fn __reduce__(&self) -> PyResult<()> {
        Err(not_picklable("AssumeRole"))
    }
}

/// Exchanges an identity token for the credentials of a role, once.
#[pyfunction]
#[pyo3(signature = (identity_token, *, role_arn, session_name=None, duration=None, policy=None, policy_arns=None, region=None))]
#[allow(clippy::too_many_arguments)]
pub fn exchange_oidc_token(
    py: Python<'_>,
    identity_token: &Bound<'_, PyAny>,
    role_arn: &Bound<'_, PyAny>,
    session_name: Any<'_>,
    duration: Any<'_>,
    policy: Any<'_>,
    policy_arns: Any<'_>,
    region: Any<'_>,
) -> PyResult<Credentials> {
    let (request, token) = exchange(
        identity_token,
        role_arn,
        session_name,
        duration,
        policy,
        policy_arns,
        region,
    )?;
    let inner = blocked(py, web_identity::exchange(request, token))?.map_err(raised)?;
    Ok(Credentials { inner })
}

/// As `exchange_oidc_token`, without blocking the event loop.
#[pyfunction]
#[pyo3(signature = (identity_token, *, role_arn, session_name=None, duration=None, policy=None, policy_arns=None, region=None))]
#[allow(clippy::too_many_arguments)]
pub fn exchange_oidc_token_async<'py>(
    py: Python<'py>,
    identity_token: &Bound<'py, PyAny>,
    role_arn: &Bound<'py, PyAny>,
    session_name: Any<'py>,
    duration: Any<'py>,
    policy: Any<'py>,
    policy_arns: Any<'py>,
    region: Any<'py>,
) -> PyResult<Bound<'py, PyAny>> {
    let (request, token) = exchange(
        identity_token,
        role_arn,
        session_name,
        duration,
        policy,
        policy_arns,
        region,
    )?;
    event_loop::awaitable(py, async move {
        let issued = web_identity::exchange(request, token).await;
        Ok(Converted(issued.map(|inner| Credentials { inner })))
    })
}

fn exchange(
    identity_token: &Bound<'_, PyAny>,
    role_arn: &Bound<'_, PyAny>,
    session_name: Any<'_>,
    duration: Any<'_>,
    policy: Any<'_>,
    policy_arns: Any<'_>,
    region: Any<'_>,
) -> PyResult<(RoleRequest, IdentityToken)> {
    let read = || {
        let request = role_request(role_arn, session_name, duration, policy, policy_arns, region)?.check()?;
        Ok((request, oidc::token_from_python(identity_token)?))
    };
    read().map_err(raised)
}

fn role_request(
    role_arn: &Bound<'_, PyAny>,
    session_name: Any<'_>,
    duration: Any<'_>,
    policy: Any<'_>,
    policy_arns: Any<'_>,
    region: Any<'_>,
) -> Result<RoleRequest> {
    let request = RoleRequest::new(owned(Some(role_arn), "role_arn")?.unwrap_or_default())?;
    Ok(RoleRequest {
        session_name: owned(session_name, "session_name")?,
        // What no u32 holds is out of range, and so is 0.
        duration: whole_number(duration, "duration")?.map(|seconds| u32::try_from(seconds).unwrap_or(0)),
        policy: owned(policy, "policy")?,
        policy_arns: texts(policy_arns, "policy_arns")?,
        region: owned(region, "region")?,
        ..request
    })
}

fn owned(value: Any<'_>, option: &str) -> Result<Option<String>> {
    Ok(text(value, option)?.map(|text| text.into_owned()))
}

fn texts(value: Any<'_>, option: &str) -> Result<Vec<String>> {
    let Some(value) = value.filter(|value| !value.is_none()) else {
        return Ok(Vec::new());
    };
    let wrong = || wrong_type(value, option, "a sequence of str");
    // A str is a sequence of str, too.
    if value.is_instance_of::<PyString>() {
        return Err(wrong());
    }
    value.extract().map_err(|_| wrong())
}

fn tags_of(value: Any<'_>) -> Result<Vec<(String, String)>> {
    let Some(value) = value.filter(|value| !value.is_none()) else {
        return Ok(Vec::new());
    };
    let wrong = || wrong_type(value, "tags", "a mapping of str to str");
    let Ok(tags) = value.cast::<PyDict>() else {
        return Err(wrong());
    };
    let pair = |(key, value): (Bound<'_, PyAny>, Bound<'_, PyAny>)| Ok((key.extract()?, value.extract()?));
    // Of a copy: other threads may change the dict meanwhile.
    tags.items()
        .iter()
        .map(|item| pair(item.extract()?))
        .collect::<PyResult<_>>()
        .map_err(|_| wrong())
}
