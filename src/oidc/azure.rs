//! Azure: a managed identity (virtual machines, App Service, Functions, Container Apps), or the federated
//! token file of AKS Workload Identity.
//! <https://learn.microsoft.com/entra/identity/managed-identities-azure-resources/how-to-use-vm-token>

use super::{AUDIENCE_VARIABLE, Platform, Presence, WebIdentityFile};
use crate::error::{Error, Result};
use crate::http;
use crate::http_call::{self, Service, query};
use crate::identity_token::{IdentityToken, TokenFetch};
use crate::secret::Secret;
use crate::surroundings::{Here, Surroundings};

const FILE: &str = "AZURE_FEDERATED_TOKEN_FILE";
const ENDPOINT: &str = "IDENTITY_ENDPOINT";
const HEADER: &str = "IDENTITY_HEADER";
/// Where Azure's own libraries take another metadata host from.
const AUTHORITY: &str = "AZURE_POD_IDENTITY_AUTHORITY_HOST";
/// What the chassis of every virtual machine in Azure says; cloud-init's Azure data source knows it by this.
const CHASSIS: &str = "7783-7084-3265-9085-8269-3286-77";
const SERVICE: Service = Service {
    name: "Azure",
    hint: "Enable a managed identity, and pass resource= with the Application ID URI of an app registration.",
};

#[derive(Clone)]
pub struct Azure {
    resource: Option<String>,
}

impl Azure {
    pub fn new(resource: Option<String>) -> Self {
        Self { resource }
    }
}

impl Platform for Azure {
    fn name(&self) -> String {
        SERVICE.name.to_owned()
    }

    fn detect(surroundings: &dyn Surroundings) -> Option<Presence> {
        if surroundings.is_set(FILE) {
            return Some(Presence::new(format!("{FILE} is set"), None));
        }
        let because = if surroundings.is_set(ENDPOINT) && surroundings.is_set(HEADER) {
            format!("{ENDPOINT} is set")
        } else if surroundings.is_set(AUTHORITY) {
            format!("{AUTHORITY} is set")
        } else if surroundings
            .first_line("/sys/class/dmi/id/chassis_asset_tag")
            .is_some_and(|tag| tag == CHASSIS)
        {
            "the machine is a virtual machine in Azure".to_owned()
        } else {
            return None;
        };
        let complete = surroundings.is_set(AUDIENCE_VARIABLE);
        let missing = "PGIAM_OIDC_AUDIENCE does not name the Application ID URI to ask for";
        Some(Presence::new(because, (!complete).then_some(missing)))
    }

    fn fetch(&self) -> TokenFetch {
        let resource = self.resource.clone().or_else(|| Here.variable(AUDIENCE_VARIABLE));
        if let (None, Some(path)) = (&resource, Here.variable(FILE)) {
            return WebIdentityFile::new(Some(path)).fetch();
        }
        Box::pin(async move { Ok(fetched(resource).await?) })
    }
}

async fn fetched(resource: Option<String>) -> Result<IdentityToken> {
    let Some(resource) = resource else {
        return Err(Error::configuration(
            "Azure issues tokens for a resource, and none is named",
            SERVICE.hint,
        ));
    };
    let (url, version, header) = match (Here.variable(ENDPOINT), Here.variable(HEADER)) {
        (Some(url), Some(secret)) => (url, "2019-08-01", ("x-identity-header", Secret::from(secret))),
        _ => {
            let host = Here.variable(AUTHORITY);
            let host = host.unwrap_or_else(|| "http://169.254.169.254".to_owned());
            let url = format!("{}/metadata/identity/oauth2/token", host.trim_end_matches('/'));
            (url, "2018-02-01", ("metadata", Secret::from("true")))
        }
    };
    let url = format!("{url}?api-version={version}&resource={}", query(&resource));
    let answer = http_call::get(&SERVICE, &http::link_local_connector(), &url, &[header]).await?;
    answer.token_in("access_token", &SERVICE)
}
