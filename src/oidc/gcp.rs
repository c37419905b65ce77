//! Google Cloud: the metadata server of Compute Engine, GKE, Cloud Run, Cloud Functions and App Engine.
//! <https://cloud.google.com/compute/docs/instances/verifying-instance-identity>

use super::{Platform, Presence, audience_or_default};
use crate::http;
use crate::http_call::{self, Service, query};
use crate::identity_token::TokenFetch;
use crate::secret::Secret;
use crate::surroundings::{Here, Surroundings};

/// Google's own libraries take another host from here.
const HOST: &str = "GCE_METADATA_HOST";
const SERVICE: Service = Service {
    name: "Google Cloud",
    hint: "Attach a service account to the workload; in GKE enable Workload Identity Federation.",
};

#[derive(Clone)]
pub struct Gcp {
    audience: Option<String>,
}

impl Gcp {
    pub fn new(audience: Option<String>) -> Self {
        Self { audience }
    }
}

impl Platform for Gcp {
    fn name(&self) -> String {
        SERVICE.name.to_owned()
    }

    fn detect(surroundings: &dyn Surroundings) -> Option<Presence> {
        for variable in [HOST, "K_SERVICE", "CLOUD_RUN_JOB", "GAE_APPLICATION"] {
            if surroundings.is_set(variable) {
                return Some(Presence::new(format!("{variable} is set"), None));
            }
        }
        let product = surroundings.first_line("/sys/class/dmi/id/product_name")?;
        (product.starts_with("Google")).then(|| Presence::new(format!("the machine is a {product}"), None))
    }

    fn fetch(&self) -> TokenFetch {
        let audience = audience_or_default(self.audience.clone());
        let host = Here
            .variable(HOST)
            .unwrap_or_else(|| "metadata.google.internal".to_owned());
        Box::pin(async move {
            let url = format!(
                "http://{host}/computeMetadata/v1/instance/service-accounts/default/identity?audience={}&format=full",
                query(&audience)
            );
            let headers = [("metadata-flavor", Secret::from("Google"))];
            let answer = http_call::get(&SERVICE, &http::link_local_connector(), &url, &headers).await?;
            Ok(answer.token(&SERVICE)?)
        })
    }
}
