//! What a client says of itself: whose credentials it holds, and where they come from.

use pyo3::prelude::*;

use crate::credentials;
use crate::sts;

/// Who STS says the credentials belong to.
#[pyclass(frozen, eq, module = "pgiam")]
#[derive(PartialEq)]
pub struct CallerIdentity {
    inner: sts::Identity,
}

impl From<sts::Identity> for CallerIdentity {
    fn from(inner: sts::Identity) -> Self {
        Self { inner }
    }
}

#[pymethods]
impl CallerIdentity {
    #[getter]
    fn arn(&self) -> &str {
        &self.inner.arn
    }

    #[getter]
    fn account(&self) -> &str {
        &self.inner.account
    }

    #[getter]
    fn user_id(&self) -> &str {
        &self.inner.user_id
    }

    fn __repr__(&self) -> String {
        format!("<pgiam.CallerIdentity {}>", self.inner.arn)
    }
}

/// One place that credentials could come from, and what came of it.
#[pyclass(frozen, eq, module = "pgiam")]
#[derive(PartialEq)]
pub struct Finding {
    inner: credentials::Finding,
}

impl From<credentials::Finding> for Finding {
    fn from(inner: credentials::Finding) -> Self {
        Self { inner }
    }
}

#[pymethods]
impl Finding {
    #[getter]
    fn source(&self) -> &str {
        &self.inner.source
    }

    /// "taken", "passed over", "pending" (asked when credentials are first needed) or "not reached".
    #[getter]
    fn state(&self) -> &'static str {
        self.inner.state.name()
    }

    #[getter]
    fn reason(&self) -> &str {
        &self.inner.reason
    }

    fn __repr__(&self) -> String {
        let finding = &self.inner;
        format!(
            "<pgiam.Finding {}: {}, {}>",
            finding.source,
            finding.state.name(),
            finding.reason
        )
    }
}
